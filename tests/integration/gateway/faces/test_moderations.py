"""OpenAI's moderations, answered by the guards, by OpenAI's own package."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.fakes.http_calls import Refused
from tests.integration.gateway.conftest import KEY, Gateway, MakeGateway

POLICY = """
guards:
  - {guard: pii, stage: input, action: redact}
  - {guard: terms, stage: both, action: block, terms: [forbidden]}
  - {guard: secrets, stage: output, action: flag, mode: shadow}
"""
SECRET = "ghp_" + "a1B2" * 9


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "guards.yaml"
    path.write_text(POLICY)
    return path


@asynccontextmanager
async def client_of(gateway: Gateway) -> AsyncIterator[Any]:
    async with AsyncOpenAI(base_url=f"{gateway.http.base_url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def test_texts_are_judged_each_by_itself(make_gateway: MakeGateway, policy: Path) -> None:
    gateway = await make_gateway(guards_file=policy)
    texts = ["It is fine.", "Write to ann@example.org.", "It is forbidden.", f"token = {SECRET}"]
    async with client_of(gateway) as client:
        answer = await client.moderations.create(input=texts)
    fine, mail, term, secret = answer.results
    assert [result.flagged for result in answer.results] == [False, True, True, True]
    actions = [result.to_dict()["headworks"]["action"] for result in answer.results]
    assert actions == ["none", "redact", "block", "none"]
    assert mail.categories.to_dict()["pii/EMAIL"] is True
    assert mail.category_scores.to_dict()["pii/EMAIL"] > 0
    assert mail.category_applied_input_types.to_dict()["pii/EMAIL"] == ["text"]
    [found] = mail.to_dict()["headworks"]["findings"]
    assert (found["guard"], found["start"], found["end"]) == ("pii", 9, 24)
    assert [key for key, value in term.categories.to_dict().items() if value] == ["terms/terms"]
    assert "secrets" in {one["guard"] for one in secret.to_dict()["headworks"]["findings"]}
    # What no guard judges is not said to be false.
    assert fine.categories.violence is None
    assert SECRET not in answer.to_json()


async def test_one_text_and_one_in_parts(make_gateway: MakeGateway, policy: Path) -> None:
    gateway = await make_gateway(guards_file=policy)
    parts = [{"type": "text", "text": "It is"}, {"type": "text", "text": "forbidden"}]
    async with client_of(gateway) as client:
        one = await client.moderations.create(input="It is forbidden", model="omni-moderation-latest")
        other = await client.moderations.create(input=parts)
    assert (len(one.results), len(other.results)) == (1, 1)
    assert one.results[0].flagged
    assert other.results[0].flagged
    assert one.model == "omni-moderation-latest"


async def test_it_is_permitted_and_limited(make_gateway: MakeGateway, policy: Path, tmp_path: Path) -> None:
    keys = json.loads((tmp_path / "keys.json").read_text())
    gateway = await make_gateway(guards_file=policy, limits_requests_per_minute=2)
    async with client_of(gateway) as client:
        for _ in range(2):
            await client.moderations.create(input="x")
        with pytest.raises(openai.RateLimitError):
            await client.moderations.create(input="x")
    keys["keys"][0]["scopes"] = ["models.call:rag"]
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    gateway = await make_gateway(guards_file=policy)
    async with client_of(gateway) as client:
        with pytest.raises(openai.PermissionDeniedError, match=r"models\.call:moderation"):
            await client.moderations.create(input="x")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [1]}, "input[0].type"),
        ({"input": [{"type": "image_url", "image_url": {"url": "x"}}]}, "input[0].type"),
        ({"input": ["x"] * 257}, "input"),
        ({"input": "x" * 300_000}, "input"),
        ({"input": "x", "odd": 1}, "odd"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_guards_do_not_read_is_refused(make_gateway: MakeGateway, body: dict[str, Any], param: str) -> None:
    gateway = await make_gateway()
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", "/v1/moderations", json.dumps(body).encode()).whole()
    assert (caught.value.status, caught.value.error["param"]) == (400, param)
