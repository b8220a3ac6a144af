"""Requests of many entries are refused before anything of them is read, and counting tokens is limited."""

import json
from typing import Any

import pytest

from gateway.faces.http.openai.parts import MOST_PARTS
from tests.fakes.http_calls import Refused
from tests.integration.gateway.conftest import MakeGateway
from tests.integration.gateway.faces.conftest import Before
from tests.integration.gateway.faces.test_anthropic import whole

# Its reading would be refused in other words.
BROKEN: dict[str, Any] = {"role": "nobody", "type": "nothing"}
COUNT, MESSAGES, RESPONSES = "/v1/messages/count_tokens", "/v1/messages", "/v1/responses"
MANY = [BROKEN] * (MOST_PARTS + 1)
NESTED = {"type": "tool_result", "tool_use_id": "c", "content": MANY}
DOCUMENT = {"type": "document", "source": {"type": "content", "content": MANY}}


@pytest.mark.parametrize(
    ("path", "more", "says"),
    [
        *(
            (path, more, says)
            for path in (COUNT, MESSAGES)
            for more, says in [
                ({"messages": [BROKEN] * 1001}, "messages has 1001 entries; the most is 1000"),
                ({"messages": [BROKEN | {"content": MANY}]}, f"messages has more than {MOST_PARTS} parts"),
                ({"messages": [BROKEN | {"content": [NESTED]}]}, f"messages has more than {MOST_PARTS} parts"),
                ({"messages": [BROKEN | {"content": [DOCUMENT]}]}, f"messages has more than {MOST_PARTS} parts"),
                ({"messages": [{"role": "user", "content": "x"}], "system": MANY}, "system has more than"),
            ]
        ),
        (RESPONSES, {"input": [BROKEN] * 3001}, "input has 3001 entries; the most is 3000"),
        (RESPONSES, {"input": [BROKEN | {"content": MANY}]}, f"input has more than {MOST_PARTS} parts"),
        (RESPONSES, {"input": [BROKEN | {"output": MANY}]}, f"input has more than {MOST_PARTS} parts"),
        (RESPONSES, {"input": [BROKEN | {"summary": MANY}]}, f"input has more than {MOST_PARTS} parts"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_many_entries_are_counted_before_they_are_read(
    make_gateway: MakeGateway, path: str, more: dict[str, Any], says: str
) -> None:
    gateway = await make_gateway()
    body = json.dumps({"model": "rag", "max_tokens": 5} | more if path == MESSAGES else {"model": "rag"} | more)
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", path, body.encode()).whole()
    assert caught.value.status == 400
    assert says in caught.value.error["message"]


@pytest.mark.parametrize("path", [COUNT, MESSAGES, RESPONSES])
async def test_a_long_request_is_read_all_the_same(before: Before, path: str) -> None:
    """In a thread; see tests/unit/gateway/faces/test_reading.py."""
    gateway, _ = await before(whole({"content": "Hi."}))
    said = [{"role": "user", "content": [{"type": "text", "text": f"{place}"}]} for place in range(900)]
    named: dict[str, Any] = {"input": said} if path == RESPONSES else {"messages": said}
    ask = {"model": "small"} | ({"max_tokens": 5} if path == MESSAGES else {}) | named
    answer = await gateway.ask("POST", path, json.dumps(ask).encode()).whole()
    if path == COUNT:
        assert json.loads(answer.data)["input_tokens"] > 500


async def test_counting_tokens_takes_a_request_of_the_limit(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(limits_requests_per_minute=2, limits_tokens_per_minute=10)
    body = json.dumps({"model": "rag", "messages": [{"role": "user", "content": "word " * 400}]}).encode()
    for _ in range(2):
        await gateway.ask("POST", COUNT, body).whole()
    with pytest.raises(Refused) as caught:
        await gateway.ask("POST", COUNT, body).whole()
    assert (caught.value.status, caught.value.error["type"]) == (429, "rate_limit_error")
