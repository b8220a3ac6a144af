import json

import httpx
import pytest

from bench.load import canned


def ask(http: httpx.Client, url: str, results: int, chunked: bool = False) -> list[dict[str, object]]:
    messages = [{"role": "user", "content": "Count."}, *({"role": "tool", "content": "1"} for _ in range(results))]
    body = json.dumps({"messages": messages, "stream": True}).encode()
    answer = http.post(f"{url}/chat/completions", content=iter([body[:7], body[7:]]) if chunked else body)
    events = [event.removeprefix("data: ") for event in answer.text.split("\n\n") if event]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


@pytest.mark.parametrize("chunked", [False, True])
def test_calls_the_tool_as_often_as_told_then_answers(chunked: bool) -> None:
    with canned.serving(2) as url, httpx.Client() as http:
        answers = [ask(http, url, results, chunked) for results in range(4)]
    finishes = [answer[-2]["choices"][0]["finish_reason"] for answer in answers]  # type: ignore[index]
    assert finishes == ["tool_calls", "tool_calls", "stop", "stop"]
    calls = [answer[0]["choices"][0]["delta"]["tool_calls"][0] for answer in answers[:2]]  # type: ignore[index]
    assert [call["function"]["arguments"] for call in calls] == ['{"expression": "0 + 1"}', '{"expression": "1 + 1"}']
    assert all(answer[-1]["usage"] == canned.USAGE for answer in answers)
