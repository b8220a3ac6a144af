"""What a model's server gives beside a call of a caller's tool, as the caller gets it and sends it back. Pure."""

from typing import Any

import orjson

from services.llm.openai.request import BESIDE, LONGEST_BESIDE, REASONING
from services.llm.wires.wire import EXTRA
from services.runtime.errors import InvalidArgument

# Under this name in `extra_content`, where each maker has a name of its own, stands whether what was thought is wanted
# back: the caller has it already, as the message's.
OURS = "headworks"


def shown(beside: str) -> str:
    """Of a call's `beside` what the caller gets: all but what was thought."""
    made: dict[str, Any] = orjson.loads(beside) if beside else {}
    if made.pop(REASONING, None):
        extra = made.get(EXTRA)
        made[EXTRA] = {**(extra if isinstance(extra, dict) else {}), OURS: {REASONING: True}}
    return orjson.dumps(made).decode() if made else ""


def taken(beside: str, reasoning: str) -> str:
    """The call's `beside` again, of what the caller sends back. `reasoning`: what was thought before it, where it is
    its message's first. Raises InvalidArgument for what `shown` has not made."""
    if not beside:
        return ""
    try:
        made = orjson.loads(beside)
    except orjson.JSONDecodeError as error:
        raise _refused("is no JSON") from error
    if not isinstance(made, dict) or not set(made) <= set(BESIDE):
        raise _refused(f"is no object of the fields {', '.join(BESIDE)}")
    if len(beside) > LONGEST_BESIDE:
        raise _refused(f"has {len(beside)} characters; the most is {LONGEST_BESIDE}")
    extra = made.get(EXTRA)
    ours = extra.pop(OURS, None) if isinstance(extra, dict) else None
    if ours is not None and not extra:
        del made[EXTRA]
    if isinstance(ours, dict) and ours.get(REASONING) and len(reasoning) + len(beside) <= LONGEST_BESIDE:
        made[REASONING] = reasoning
    return orjson.dumps(made).decode() if made else ""


def _refused(how: str) -> InvalidArgument:
    return InvalidArgument(f"what stands beside a call of a tool {how}", field="messages")
