"""POST /v1/moderations, answered by the guards: the body, and the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.guard.finding import Action, Finding
from services.llm.openai.chunks import Json

MODEL = "moderation"
"""By what name it is permitted and limited."""
MOST_INPUTS = 256
MOST_CHARACTERS = 256 << 10
OPENAIS = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
"""Categories that no guard judges: they are null, which is not false."""
_ACTIONS = (Action.BLOCK, Action.REDACT)


@dataclass(frozen=True, slots=True)
class ModerationRequest:
    """`policy`: an agent or a model whose guards are asked, where it has some."""

    texts: list[str]
    policy: str


def parse(data: bytes) -> ModerationRequest:
    """Raises BadRequest, naming the field."""
    body = fields.parse(data)
    fields.known(body, ("input", "model"), "")
    texts = _inputs(body.get("input"))
    if sum(map(len, texts)) > MOST_CHARACTERS:
        raise BadRequest(f"input has more than {MOST_CHARACTERS} characters: send it in several requests", "input")
    return ModerationRequest(texts, fields.maybe_text(body, "model"))


def _inputs(given: Any) -> list[str]:
    """A text, several of them, or one in parts."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise BadRequest("input must be a string or a list of strings, and not empty", "input")
    if len(given) > MOST_INPUTS:
        raise BadRequest(f"input has {len(given)} entries; the most is {MOST_INPUTS}", "input")
    if all(isinstance(one, str) for one in given):
        return given
    return ["\n".join(_part(part, f"input[{place}]") for place, part in enumerate(given))]


def _part(part: object, path: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        raise BadRequest(f"{path} must be a part of the type text: guards read nothing else", f"{path}.type")
    fields.known(part, ("type", "text"), f"{path}.")
    return fields.maybe_text(part, "text", f"{path}.")


def response(asked: ModerationRequest, found: Sequence[Sequence[Finding]], request_id: str) -> Json:
    """A result for each text."""
    results = [_result(findings) for findings in found]
    return {"id": f"modr-{request_id}", "model": asked.policy or MODEL, "results": results}


def _result(findings: Sequence[Finding]) -> Json:
    """What the policy does about the text stands under "headworks"."""
    scores: dict[str, float] = {}
    for each in findings:
        name = f"{each.guard}/{each.category}"
        scores[name] = max(each.score, scores.get(name, 0.0))
    unknown: Mapping[str, None] = dict.fromkeys(OPENAIS)
    acting = [each.action for each in findings if each.acts]
    action = next((one.value for one in _ACTIONS if one in acting), "none")
    return {
        "flagged": bool(findings),
        "categories": {**unknown, **dict.fromkeys(scores, True)},
        "category_scores": {**unknown, **scores},
        "category_applied_input_types": {**dict.fromkeys(OPENAIS, ()), **dict.fromkeys(scores, ("text",))},
        "headworks": {"action": action, "findings": [_finding(each) for each in findings]},
    }


def _finding(each: Finding) -> Json:
    where = {"start": each.start, "end": each.end} if each.end else {}
    return {
        "guard": each.guard, "category": each.category, "action": each.action.value, "mode": each.mode.value,
        "score": each.score, **where, **({"reason": each.reason} if each.reason else {}),
    }  # fmt: skip
