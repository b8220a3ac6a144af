"""How tokens are picked, and who goes first, in a chat completion's body: OpenAI's fields and those vLLM adds."""

from headworks.orchestrator.v1 import generation_pb2

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from services.llm.openai.chunks import Json

MOST_TOKENS = (1 << 31) - 1
MOST_STOPS = 4
LONGEST_STOP = 256
STRONGEST_REPETITION = 100
_WORDS = {"interactive": generation_pb2.PRIORITY_INTERACTIVE, "batch": generation_pb2.PRIORITY_BATCH}


def parse(body: Json) -> generation_pb2.Sampling | None:
    """None where the body says nothing of it. Raises BadRequest, naming the field."""
    longest = fields.integer(body, "max_completion_tokens", 1, MOST_TOKENS)
    top_k = fields.integer(body, "top_k", -1, MOST_TOKENS)
    made = generation_pb2.Sampling(
        temperature=fields.number(body, "temperature", 0, 2),
        top_p=fields.number(body, "top_p", 0, 1, over=True),
        top_k=None if top_k is None else max(0, top_k),  # -1 is vLLM's other word for all
        min_p=fields.number(body, "min_p", 0, 1),
        max_tokens=fields.integer(body, "max_tokens", 1, MOST_TOKENS) if longest is None else longest,
        stop=_stop(body.get("stop")),
        seed=fields.integer(body, "seed", -(1 << 63), (1 << 63) - 1),
        presence_penalty=fields.number(body, "presence_penalty", -2, 2),
        frequency_penalty=fields.number(body, "frequency_penalty", -2, 2),
        repetition_penalty=fields.number(body, "repetition_penalty", 0, STRONGEST_REPETITION, over=True),
        ignore_eos=fields.flag(body, "ignore_eos"),
    )
    return made if made.ByteSize() else None


def priority(body: Json) -> generation_pb2.Priority.ValueType:
    """A word, or vLLM's number, where a lower one goes first: up to 0 is interactive, over it batch."""
    value = body.get("priority")
    if value is None:
        return generation_pb2.PRIORITY_UNSPECIFIED
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if isinstance(value, int) and not isinstance(value, bool):
        return generation_pb2.PRIORITY_BATCH if value > 0 else generation_pb2.PRIORITY_INTERACTIVE
    raise BadRequest(f"priority must be a whole number or one of {', '.join(_WORDS)}", "priority")


def _stop(value: object) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    if stops is None:
        return []
    if not isinstance(stops, list) or len(stops) > MOST_STOPS:
        raise BadRequest(f"stop must be a string or a list of at most {MOST_STOPS}", "stop")
    if not all(isinstance(stop, str) and 0 < len(stop) <= LONGEST_STOP for stop in stops):
        raise BadRequest(f"each stop must be a string of 1 to {LONGEST_STOP} characters", "stop")
    return stops
