"""The conversation in the body of a message to that of a chat completion.

Turns of the same role that follow each other are one, as Anthropic has it: models' templates want them to take turns.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import orjson

from gateway.faces.http.anthropic import content
from gateway.faces.http.anthropic.content import Placed
from gateway.faces.http.openai import fields, parts
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.messages import entries
from services.llm.openai.chunks import Json
from services.llm.openai.request import BESIDE, REASONING

_ROLES = ("user", "assistant", "system")
_CALL = ("type", "id", "name", "input", "cache_control", "caller", *BESIDE)
_RESULT = ("type", "tool_use_id", "content", "is_error", "cache_control")
_THOUGHTS = ("thinking", "redacted_thinking")
SEEN_BELOW = "What the tool gives back is in the next message."


def parse(body: Json) -> list[Json]:
    """The messages of a chat completion, the instructions first. Raises BadRequest, naming the field."""
    given = entries(body)
    parts.check(given, "messages")
    parts.check(body.get("system"), "system")
    turns = [_turn(message, f"messages[{place}]") for place, message in enumerate(given)]
    if turns[-1][0] == "assistant":
        raise BadRequest(
            "messages must end with a user's: no model here goes on with an answer that was begun for it", "messages"
        )
    # What is said by the system at the end is what the model is to answer, as a user's message is.
    for place in range(len(turns) - 1, 0, -1):
        if turns[place][0] != "system":
            break
        turns[place] = "user", turns[place][1]
    told = parts.content(content.instructions(body["system"])) if body.get("system") else ""
    made: list[Json] = [{"role": "system", "content": told}] if told else []
    for role, same in groupby(turns, lambda turn: turn[0]):
        placed = [block for _, blocks in same for block in blocks]
        made += _MADE[role](placed)
    return made


def _turn(message: object, path: str) -> tuple[str, list[Placed]]:
    if not isinstance(message, dict):
        raise BadRequest(f"{path} must be an object", path)
    role = message.get("role")
    if role not in _ROLES:
        raise BadRequest(f"{path}.role must be one of {', '.join(_ROLES)}", f"{path}.role")
    fields.known(message, ("role", "content"), f"{path}.")
    return role, content.blocks(message.get("content"), f"{path}.content")


def _system(placed: Sequence[Placed]) -> list[Json]:
    said = [content.text_part(block, path) for path, block in placed]
    return [{"role": "system", "content": parts.content(said)}]


def _user(placed: Sequence[Placed]) -> list[Json]:
    """The results of tools first, for they follow on the calls; then what is said beside them, and pictures that are
    results, for which the message of a tool has no place."""
    results: list[Json] = []
    said: list[Json] = []
    for path, block in placed:
        if block["type"] == "tool_result":
            result, shown = _result(block, path)
            results.append(result)
            said += shown
        else:
            said += content.parts([(path, block)])
    return results + [{"role": "user", "content": parts.content(said)}] * bool(said or not results)


def _result(block: Json, path: str) -> tuple[Json, list[Json]]:
    fields.known(block, _RESULT, f"{path}.")
    given = block.get("content")
    read = content.parts(content.blocks(given, f"{path}.content")) if given else []
    texts = [part["text"] for part in read if part["type"] == "text"]
    shown = [part for part in read if part["type"] != "text"]
    if not any(texts):
        texts = [SEEN_BELOW * bool(shown)]
    if fields.flag(block, "is_error", f"{path}.") and "error" not in "\n".join(texts)[:100].lower():
        texts[0] = f"Error: {texts[0]}"
    said = parts.content([parts.of(text) for text in texts])
    made = {"role": "tool", "tool_call_id": fields.text(block, "tool_use_id", f"{path}."), "content": said}
    return parts.marked(made, block), shown


def _assistant(placed: Sequence[Placed]) -> list[Json]:
    """What was thought goes back with calls alone, as a chat completion's does."""
    texts = [content.text_part(block, path) for path, block in placed if block["type"] not in (*_THOUGHTS, "tool_use")]
    calls = [_call(block, path) for path, block in placed if block["type"] == "tool_use"]
    if not (texts or calls):
        return []
    said = parts.content(texts)
    made: Json = {"role": "assistant", "content": said or None}
    if calls:
        thoughts = "\n".join(_thoughts(placed))
        made |= {"tool_calls": calls, **({REASONING: thoughts} if thoughts else {})}
    return [made]


def _thoughts(placed: Sequence[Placed]) -> Iterator[str]:
    for path, block in placed:
        if block["type"] == "thinking":
            yield fields.maybe_text(block, "thinking", f"{path}.")


def _call(block: Json, path: str) -> Json:
    fields.known(block, _CALL, f"{path}.")
    given = block.get("input")
    if not isinstance(given, dict):
        raise BadRequest(f"{path}.input must be an object", f"{path}.input")
    return {
        **{name: value for name in BESIDE if (value := block.get(name))},
        "id": fields.text(block, "id", f"{path}."),
        "type": "function",
        "function": {"name": fields.text(block, "name", f"{path}."), "arguments": orjson.dumps(given).decode()},
    }


_MADE = {"system": _system, "user": _user, "assistant": _assistant}
