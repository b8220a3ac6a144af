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
    ("status", "body", "lengths"),
    [
        (
            400,
            {"error": {"code": 400, "message": "request (5000 tokens) exceeds the available context size (4096 "
                       "tokens), try increasing it", "type": "exceed_context_size_error", "n_ctx": 4096}},
            ("5000", "4096"),
        ),
        (
            400,
            [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "The input token count (1200000) exceeds "
                        "the maximum number of tokens allowed (1048576)."}}],
            ("1200000", "1048576"),
        ),
        (400, {"error": {"type": "invalid_request_error", "message": "prompt is too long: 213,462 tokens > 200,000 "
                         "maximum"}}, ("213462", "200000")),
        (400, {"error": {"message": "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted "
                         "in 509178 tokens. Please reduce the length of the messages."}}, ("509178", "272000")),
        (400, {"error": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"}, (None, None)),
        (400, {"message": "Your prompt is longer than the model's context length of 2048."}, (None, "2048")),
        (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"}},
         ("190000", "200000")),
        (400, {"error": {"message": "Current length is 20001 while limit is 8192"}}, ("20001", "8192")),
        (422, {"detail": "Input is too long for requested model."}, (None, None)),
        (413, {}, (None, None)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_context_that_is_too_long_is_known_by_many_words(
    status: int, body: Any, lengths: tuple[str | None, str | None]
) -> None:
    error = errors.answered(ENDPOINT, status, {}, json.dumps(body).encode())
    assert error.reason == "CONTEXT_TOO_LONG"
    if lengths != (None, None):
        assert (error.details.get("prompt_tokens"), error.details.get("context_length")) == lengths
    assert "This model's maximum context length is" in error.message  # as LiteLLM knows it
    assert json.loads(body_of(error))["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("status", "body", "reason", "told", "code"),
    [
        (413, {"error": {"message": "Request too large", "type": "tokens", "code": "rate_limit_exceeded"}},
         "UPSTREAM_BUSY", 429, "rate_limit_exceeded"),
        (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}},
         "UPSTREAM_BUSY", 429, "insufficient_quota"),
        (429, {}, "UPSTREAM_BUSY", 429, "upstream_busy"),
        (402, {"error": {"message": "Insufficient credits", "code": 402}},
         "UPSTREAM_MISCONFIGURED", 503, "upstream_misconfigured"),
        (204, {}, "UPSTREAM_BROKEN", 503, "upstream_broken"),
        (400, [{"error": {"code": 400, "message": "Unknown name \"foo\"", "status": "INVALID_ARGUMENT"}}],
         "UPSTREAM_REFUSED", 400, "upstream_refused"),
        (400, {"error": {"message": "max_tokens: the maximum is 16"}}, "UPSTREAM_REFUSED", 400, "upstream_refused"),
        (400, {"error": {"message": "Invalid 'user': string too long.", "code": "string_above_max_length"}},
         "UPSTREAM_REFUSED", 400, "string_above_max_length"),
    ],
    ids=repr,
)  # fmt: skip
def test_whose_fault_an_answer_is(status: int, body: Any, reason: str, told: int, code: str) -> None:
    error = errors.answered(ENDPOINT, status, {}, json.dumps(body).encode())
    assert (error.reason, status_of(error), json.loads(body_of(error))["error"]["code"]) == (reason, told, code)
    if isinstance(body, list):
        assert 'Unknown name "foo"' in error.message


@pytest.mark.parametrize(
    ("said", "reason", "code"),
    [
        ({"message": "The server failed", "type": "server_error", "code": "boom"}, "UPSTREAM_UNAVAILABLE", "boom"),
        ({"message": "Rate limit reached", "code": "rate_limit_exceeded"}, "UPSTREAM_BUSY", "rate_limit_exceeded"),
        ({"message": "Failed to call a function", "type": "invalid_request_error", "code": "tool_use_failed"},
         "UPSTREAM_REFUSED", "tool_use_failed"),
        ({"message": "too long", "code": "context_length_exceeded"}, "CONTEXT_TOO_LONG", "context_length_exceeded"),
        ({"message": "Overloaded", "code": 503}, "UPSTREAM_UNAVAILABLE", "upstream_unavailable"),
        ("it broke", "UPSTREAM_UNAVAILABLE", "upstream_unavailable"),
    ],
    ids=repr,
)  # fmt: skip
def test_an_error_within_a_stream_keeps_its_words(said: Any, reason: str, code: str) -> None:
    error = errors.within_stream(ENDPOINT, said)
    assert (error.reason, json.loads(body_of(error))["error"]["code"]) == (reason, code)
    if reason in ("UPSTREAM_UNAVAILABLE", "UPSTREAM_REFUSED"):
        assert (said if isinstance(said, str) else said["message"]) in error.message


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
