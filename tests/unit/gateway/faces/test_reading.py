"""Where the bodies of other forms are read."""

import threading
from typing import Any, cast

import pytest

from gateway.faces.http.openai.chat import LONGEST_AT_ONCE, ChatCompletions
from gateway.guard.turns import Steps
from services.runtime.call import Call


@pytest.mark.parametrize(("size", "here"), [(LONGEST_AT_ONCE, True), (LONGEST_AT_ONCE + 1, False)])
async def test_a_long_body_is_read_off_the_event_loop(size: int, here: bool) -> None:
    def steps() -> Steps[bool]:
        yield
        return threading.current_thread() is threading.main_thread()

    nothing = cast(Any, None)
    chat = ChatCompletions(nothing, nothing, nothing)
    call = cast(Call, type("Caller", (), {"tenant": "t"}))
    assert await chat.read(size, call, steps()) is here
