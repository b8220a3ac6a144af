"""Log lines: one JSON object each, whatever is logged."""

import asyncio
import contextvars
import json
import logging
import sys
from typing import Any

import pytest

from services.runtime.call import Call, enter
from services.runtime.logs import JsonFormatter


def line(message: str, *arguments: object, exception: bool = False, **extra: object) -> dict[str, Any]:
    info = sys.exc_info() if exception else None
    record = logging.getLogger("t").makeRecord("t", logging.WARNING, "f", 1, message, arguments, info, extra=extra)
    text = JsonFormatter("widget").format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line() -> None:
    found = line("%d of %d", 1, 2, dependency="triton")
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "warning", "service": "widget", "logger": "t", "message": "1 of 2", "dependency": "triton",
    }  # fmt: skip


def test_a_call_gives_its_request_id() -> None:
    def within() -> dict[str, Any]:
        enter(Call("/test.Service/Do", request_id="req_7"))
        return line("hello")

    assert contextvars.copy_context().run(within)["request_id"] == "req_7"
    assert "request_id" not in line("hello")


def test_an_exception_has_its_traceback() -> None:
    try:
        int("boom\nand more")
    except ValueError:
        assert "ValueError: invalid literal" in line("failed", exception=True)["exception"]


@pytest.mark.parametrize("value", [object(), {1, 2}, b"\xff", 1 << 80, float("nan"), "\ud800", {"a": {"b": "\udcff"}}])
def test_anything_can_be_logged(value: object) -> None:
    assert "value" in line("hello", value=value)


def test_a_message_of_any_text() -> None:
    assert line("%s", "\ud800 and 語")["message"].endswith("and 語")


async def test_a_line_is_written_while_a_task_is_named() -> None:
    assert "taskName" not in line("hello")
    assert asyncio.current_task() is not None
