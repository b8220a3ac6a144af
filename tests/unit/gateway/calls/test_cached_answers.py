"""What is known of the orchestrator while it is gone."""

from typing import Any

import grpc
import pytest

from gateway.calls.cached_answers import CachedAnswers


class Orchestrator:
    def __init__(self) -> None:
        self.code: grpc.StatusCode | None = None
        self.asked = 0

    async def load(self) -> str:
        self.asked += 1
        if self.code is not None:
            raise grpc.aio.AioRpcError(self.code, grpc.aio.Metadata(), grpc.aio.Metadata(), "", "")
        return f"answer {self.asked}"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [100.0]
    monkeypatch.setattr("gateway.calls.cached_answers.time.monotonic", lambda: moment[0])
    return moment


async def test_what_may_have_changed_is_asked_anew_and_serves_where_nobody_answers(now: list[float]) -> None:
    there, answers = Orchestrator(), CachedAnswers[str, str](60)
    assert await answers.get("a", there.load) == "answer 1"
    answers.expire(lambda key: key == "a")
    there.code = grpc.StatusCode.UNAVAILABLE
    assert await answers.get("a", there.load) == "answer 1"
    there.code = None
    now[0] += 2
    assert await answers.get("a", there.load) == "answer 3"


async def test_while_it_is_gone_it_is_asked_once_in_a_while(now: list[float]) -> None:
    there, answers = Orchestrator(), CachedAnswers[str, str](1)
    await answers.get("a", there.load)
    there.code = grpc.StatusCode.DEADLINE_EXCEEDED
    for _ in range(10):
        now[0] += 0.5
        assert await answers.get("a", there.load) == "answer 1"
    assert 2 < there.asked < 8
    there.code, before = None, there.asked
    now[0] += 2
    assert await answers.get("a", there.load) == f"answer {before + 1}"


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT])
async def test_what_is_gone_for_good_serves_no_more(now: list[float], code: Any) -> None:
    there, answers = Orchestrator(), CachedAnswers[str, str](1)
    await answers.get("a", there.load)
    there.code = code
    now[0] += 2
    with pytest.raises(grpc.aio.AioRpcError):
        await answers.get("a", there.load)
