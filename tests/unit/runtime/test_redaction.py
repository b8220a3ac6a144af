"""What must not reach logs and traces does not, and the rest does."""

import json
import logging
import time
from contextlib import suppress

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from pydantic import BaseModel
from sqlalchemy import create_engine, text

from services.runtime.call import Call
from services.runtime.interceptors.standard import AccessLog
from services.runtime.logs import JsonFormatter
from services.runtime.redaction import LONGEST, LONGEST_FIELD, identifier, redact, redact_field, redact_traceback
from services.runtime.spans import RedactingExporter

SECRET = "the recipe of the house"


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("write to ann.lee+x@example.co.uk now", "write to [email] now"),
        ("用户邮箱ann@example.com。", "用户邮箱[email]。"),
        ("key hw_abcdefgh12345678 used", "key [key] used"),
        ("sk-proj-abcdefgh1234", "[key]"),
        ("Authorization: Bearer abc.def-ghi_12345", "Authorization: Bearer [token]"),
        ("basic dXNlcjpwYXNzdw==", "basic [token]"),
        ("eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("ghp_0123456789abcdefghij", "[key]"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----", "[key]"),
        ('{"password": "hunter22"}', '{"password": [secret]"}'),
        ("api_key=abcdef123", "api_key=[secret]"),
        ("postgresql+asyncpg://app:hunter2@db:5432/x", "postgresql+asyncpg://app:[password]@db:5432/x"),
        ("card 4111 1111 1111 1111, thanks", "card [card], thanks"),
        ("卡号4111111111111111谢谢", "卡号[card]谢谢"),
        ("5500-0000-0000-0004", "[card]"),
        ("GET /v1/models?api_key=abc", "GET /v1/models?[query]"),
        (
            "no answer of https://hooks.example/a/b?token=abc#x: 500",
            "no answer of https://hooks.example/a/b?[query] 500",
        ),
        ("'https://host?sig=abc'", "'https://host?[query]'"),
        ("https://abc0123@host/x", "https://[user]@host/x"),
        ("a\x1b[31mb\x9bc\u202ed\u2028e\rf\0", "a\\u001b[31mb\\u009bc\\u202ed\\u2028e\\u000df\\u0000"),
        ("\x1b[2J", "\\u001b[2J"),
    ],
)
def test_what_is_hidden(told: str, kept: str) -> None:
    assert redact(told) == kept


@pytest.mark.parametrize(
    "told",
    [
        "served", "/headworks.orchestrator.v1.OrchestratorService/Run", "run_orchestrator-0_4111111111111111aaaa",
        "4111 1111 1111 1112", "2026-11-20T10:00:00.000+00:00", "127.0.0.1:50051", "@", "a@b", "sk-", "hw_",
        "bearer instruments", "basic understanding",
        "who? me/you", "either/or? both=1", "line\n\tline", "1700000000.1234567",
        "4f1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e", "https://host:8080/path", "日本語のログ", "",
    ],
)  # fmt: skip
def test_what_is_left(told: str) -> None:
    assert redact(told) == told


def test_fields_of_any_shape() -> None:
    deep: object = "x"
    for _ in range(50):
        deep = {"a": deep}
    assert "[redacted]" in str(redact_field("deep", deep))
    expected = ["[email]", {"prompt": "[23 characters]", "n": 3}]
    assert redact_field("list", ["a@example.com", {"prompt": SECRET, "n": 3}]) == expected
    assert redact_field("messages", [{"role": "user"}]) == "[redacted]"
    assert [redact_field(name, 3) for name in ("text", "n")] == [3, 3]
    assert len(redact("ab " * LONGEST)) < LONGEST + 50


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("req_1", True), ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", True), ("a/b+c==", True), ("a" * 128, True),
        ("a" * 129, False), ("", False), ("what is said", False), ("ada@example.com", False), ("é", False),
        ("hw_0123456789abcdef", False), ("sk-0123456789abcdef", False), ("4111-1111-1111-1111", False),
        ("a\n", False), ("a\tb", False), ("a,b", False), ("{}", False), ("１", False),
    ],
)  # fmt: skip
def test_what_is_an_id(text: str, plain: bool) -> None:
    assert identifier(text) == (text if plain else "")


@pytest.mark.parametrize("value", ["é" * 5000, {"a": ["b " * 5000]}, {"b " * 5000: 1}, b"\x00" * 5000])
def test_a_field_is_short_whatever_it_holds(value: object) -> None:
    assert len(str(redact_field("model", value))) < LONGEST_FIELD + 100


@pytest.mark.parametrize(
    "part", ["a", "a@", "1 ", "eyJ", "://", "-----BEGIN ", "a.", "password=", "/", "/?", "/a?a", "\x00", "://a"]
)
def test_no_text_takes_long(part: str) -> None:
    began = time.process_time()
    redact(part * (LONGEST // len(part)))
    assert time.process_time() - began < 0.5


def line_of(error: Exception) -> str:
    info = (type(error), error, error.__traceback__)
    record = logging.getLogger("t").makeRecord("t", logging.ERROR, "f", 1, "failed", (), info)
    return JsonFormatter("gateway").format(record)


class Shape(BaseModel):
    number: int


def bad_model() -> None:
    Shape.model_validate({"number": SECRET})


def bad_statement() -> None:
    with create_engine("sqlite://").connect() as connection:
        connection.execute(text("SELECT * FROM nothing WHERE a = :a"), {"a": SECRET})


def bad_text() -> None:
    raise ValueError("ann@example.com wrote this")


def bad_number() -> None:
    int(SECRET)


def bad_lines() -> None:
    raise RuntimeError(f"no answer\n{SECRET}\n{SECRET}")


def bad_chain() -> None:
    try:
        bad_number()
    except ValueError as error:
        error.add_note(SECRET)
        raise KeyError(SECRET) from error


def bad_group() -> None:
    raise ExceptionGroup("several", [ValueError(f"{SECRET!r} is bad"), ExceptionGroup("more", [KeyError(SECRET)])])


@pytest.mark.parametrize("broken", [bad_model, bad_statement, bad_text, bad_number, bad_lines, bad_chain, bad_group])
def test_a_traceback_shows_no_values(broken) -> None:  # type: ignore[no-untyped-def]  # any function
    try:
        broken()
    except Exception as error:  # noqa: BLE001 (whatever it is)
        line = line_of(error)
    assert SECRET not in line
    assert "ann@example.com" not in line
    assert "Traceback" in line
    assert broken.__name__ in line


def test_a_long_line_of_a_traceback_is_cut() -> None:
    assert len(redact_traceback(f"ValueError: {'x ' * 5000}\nnext")) < 600


async def nothing() -> None:
    """A call that nothing was decided of."""


async def test_the_line_of_a_call_tells_what_was_decided(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call = Call("/test.Service/Do")

    async def serve() -> None:
        call.notes |= {"decision": "blocked", "policy": "pii", "prompt": SECRET, "rule": "ann@example.com"}

    await AccessLog().around(call, serve)
    found = json.loads(JsonFormatter("gateway").format(caplog.records[-1]))
    assert found["notes"] == {"decision": "blocked", "policy": "pii", "prompt": "[23 characters]", "rule": "[email]"}
    await AccessLog().around(Call("/test.Service/Do"), nothing)
    assert "notes" not in json.loads(JsonFormatter("gateway").format(caplog.records[-1]))


def test_spans_are_redacted_on_their_way_out() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(RedactingExporter(memory)))
    tracer = provider.get_tracer("t")
    with suppress(ValueError), tracer.start_as_current_span("work") as span:
        span.set_attributes(
            {"gen_ai.prompt": SECRET, "user": "ann@example.com", "n": 3, "keys": ["hw_abcdefgh1234", "x"]}
        )
        span.add_event("ask", {"text": SECRET})
        bad_text()
    (found,) = memory.get_finished_spans()
    expected = {"gen_ai.prompt": "[23 characters]", "user": "[email]", "n": 3, "keys": ["[key]", "x"]}
    assert dict(found.attributes or {}) == expected
    told = found.to_json()
    assert SECRET not in told
    assert "ann@example.com" not in told
    assert "exception.stacktrace" in told
    assert found.status.status_code is StatusCode.ERROR
    provider.shutdown()
