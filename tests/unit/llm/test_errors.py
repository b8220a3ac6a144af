"""What an upstream's answers mean, and lengths out of its words."""

import json
from typing import Any

import pytest

from gateway.faces.http.errors import status_of
from gateway.faces.http.openai.errors import body as body_of
from services.llm import errors
from services.llm.endpoint import ModelEndpoint
from services.llm.errors import retry_after

ENDPOINT = ModelEndpoint("small", "http://h/v1/chat/completions", "small-2026")


@pytest.mark.parametrize(
    ("message", "prompt", "limit"),
    [
        (
            "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input "
            "tokens, which exceeds this limit even without any output tokens.",
            "2049", "2048",
        ),
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens.",
            "5000", "4097",
        ),
        (
            "This model's maximum context length is 4097 tokens, however you requested 5000 tokens (4000 in the "
            "messages, 1000 in the completion).",
            "4000", "4097",
        ),
        ("the request exceeds the available context size, context window 512", None, "512"),
        ("prompt is too long", None, None),
    ],
)  # fmt: skip
def test_both_lengths_are_told(message: str, prompt: str | None, limit: str | None) -> None:
    error = errors.answered(ENDPOINT, 400, {}, b'{"error": {"message": "%s"}}' % message.encode())
    assert error.reason == "CONTEXT_TOO_LONG"
    assert (error.details.get("prompt_tokens"), error.details.get("context_length")) == (prompt, limit)
    assert all(length in error.message for length in (prompt, limit) if length)


@pytest.mark.parametrize(
    ("error", "code", "param"),
    [
        ({"code": "invalid_value", "param": "messages[0].role"}, "invalid_value", "messages[0].role"),
        ({"code": "context_length_exceeded", "param": "messages"}, "context_length_exceeded", "messages"),
        ({"code": "unsupported_parameter", "param": "max_tokens"}, "unsupported_parameter", "max_tokens"),
        ({"code": None, "param": None}, "upstream_refused", None),
        ({"code": 400, "param": ["a"]}, "upstream_refused", None),
        ({"code": "two words", "param": "x" * 200}, "upstream_refused", None),
        ({"code": "<html>"}, "upstream_refused", None),
        ({}, "upstream_refused", None),
    ],
    ids=repr,
)
def test_what_an_upstream_refuses_keeps_its_code_and_param(error: dict[str, Any], code: str, param: str | None) -> None:
    failed = errors.answered(ENDPOINT, 400, {}, json.dumps({"error": {"message": "no", **error}}).encode())
    told = json.loads(body_of(failed))["error"]
    assert (told["code"], told["param"]) == (code, param)
    assert status_of(failed) == 400


def nested(field: str) -> bytes:
    """An error with a field of 900 levels."""
    return b'{"error": {"%s": %s}}' % (field.encode(), b"[" * 900 + b"]" * 900)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"3", b"[]", b"null", b'{"error": null}', b'{"error": 3}', b"\xff", b'"x"', b"[" * 5000, nested("message"),
        nested("detail"), nested("code"), b'{"error": {"message": [{"msg": "x"}], "code": 5}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [400, 404, 418, 429, 500, 599])
def test_any_body_will_do(status: int, body: bytes) -> None:
    assert errors.answered(ENDPOINT, status, {}, body).message


def test_a_date_says_when_to_come_back() -> None:
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "Fri, 31 Dec 2999 23:59:59 GMT"}) == 3600
    assert retry_after({"retry-after": "nan"}) is None
