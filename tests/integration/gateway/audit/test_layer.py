"""Every call is audited once, whatever becomes of it."""

from typing import Any

import pytest

from gateway.audit.entry import Decision
from gateway.audit.layer import Audit as Layer
from gateway.audit.layer import entry_of
from gateway.audit.store import AuditFilter
from services.runtime.call import Call
from services.runtime.errors import ErrorKind
from services.runtime.identity import Identity
from services.runtime.records.errors import RecordsUnavailable
from tests.fixtures.audit import Audit

ANN = Identity("acme", "ann", frozenset(), "web", "key_1")


def layer(audit: Audit, *, closed: bool = True) -> Layer:
    return Layer(audit.log, lambda call: "10.0.0.9", closed=closed)


async def recorded(audit: Audit) -> list[dict[str, Any]]:
    return [one.fields | {"who": one.actor} for one in await audit.store.page(AuditFilter())]


async def nothing() -> None:
    """What is within the layer."""


async def test_a_call_and_its_notes(audit: Audit) -> None:
    call = Call("/test.Service/Do", request_id="req_1")

    async def serve() -> None:
        call.identity = ANN
        call.notes |= {"decision": "blocked", "model": "rag", "agent_version": 2, "guards": ["pii"], "prompt_tokens": 4}

    await layer(audit).around(call, serve)
    (found,) = await recorded(audit)
    assert found["who"]["subject"] == "ann"
    assert found["who"]["address"] == "10.0.0.9"
    told = {"action": "/test.Service/Do", "decision": "blocked", "model": "rag", "agent_version": 2, "project": "web",
            "guards": ["pii"], "prompt_tokens": 4, "request_id": "req_1", "tenant": "acme"}  # fmt: skip
    assert found | told == found


@pytest.mark.parametrize(
    ("code", "decision"),
    [
        (0, Decision.ALLOWED),
        (ErrorKind.PERMISSION_DENIED, Decision.REFUSED),
        (ErrorKind.RESOURCE_EXHAUSTED, Decision.REFUSED),
        (ErrorKind.NOT_FOUND, Decision.FAILED),
        (ErrorKind.CANCELLED, Decision.FAILED),
    ],
)
def test_what_a_status_says(code: int, decision: Decision) -> None:
    assert entry_of(Call("/a/b", code=code, identity=ANN), "").decision is decision


async def test_also_when_it_breaks(audit: Audit) -> None:
    async def serve() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await layer(audit).around(Call("/a/b", identity=ANN, code=13, reason="INTERNAL"), serve)
    (found,) = await recorded(audit)
    assert (found["decision"], found["reason"]) == ("failed", "INTERNAL")


async def test_what_was_audited_is_not_again(audit: Audit) -> None:
    await layer(audit).around(Call("/a/b", identity=ANN, audited=True), nothing)
    assert await recorded(audit) == []


async def test_nobody_known_is_counted(audit: Audit) -> None:
    for _ in range(1000):
        await layer(audit).around(Call("/a/b", code=16, reason="UNAUTHENTICATED"), nothing)
    await audit.log.aclose()
    (found,) = await recorded(audit)
    assert (found["action"], found["count"], found["reason"]) == ("authenticate", 1000, "UNAUTHENTICATED")


@pytest.mark.parametrize("closed", [True, False])
async def test_while_the_records_are_gone(audit: Audit, closed: bool, caplog: pytest.LogCaptureFixture) -> None:
    await audit.writer.aclose()
    around = layer(audit, closed=closed)
    around.check()
    await around.around(Call("/a/b", identity=ANN), nothing)
    assert "not on record" in caplog.text
    if closed:
        with pytest.raises(RecordsUnavailable):
            around.check()
    else:
        around.check()
