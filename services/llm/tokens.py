"""How many tokens a text has: the one estimate, and what is believed of an upstream's own count. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

import orjson

from services.llm.chat import Declaration, Message, ResponseFormat
from services.llm.generation import Generation, TokenCounts

CHARACTERS_PER_TOKEN = 4
PER_TEXT = 4
"""Tokens around each text of a prompt: its role and its separators."""
MOST_TOKENS = 1 << 20
"""The longest context that is expected of a model of which the catalogue says none."""
LONGEST_TOKEN = 16
"""Characters of a token, in the mean of a text: a count by which they had more is not possible."""
LEAST_SHARE = LONGEST_TOKEN // CHARACTERS_PER_TOKEN
"""The same of an estimate, which takes a token for four characters."""
PLAIN = ResponseFormat()
NO_PARAMETERS = '{"type":"object","properties":{}}'
"""The schema of a tool that has none."""
_UNIT = 12


def estimate(text: str) -> int:
    """About how many tokens a text has, rather too many than too few: four letters each, one a CJK character."""
    return -(-_weight(text) // _UNIT)


def estimate_prompt(texts: Iterable[str]) -> int:
    """About how many tokens a prompt of these texts has, tools and the like included among them."""
    return sum(estimate(text) + PER_TEXT for text in texts)


def prompt_texts(
    messages: Sequence[Message], tools: Sequence[Declaration] = (), form: ResponseFormat = PLAIN
) -> Iterator[str]:
    """All texts of a prompt: what the messages say, the calls in them, what the tools are, and the answer's form."""
    for message in messages:
        yield message_text(message.name, message.content)
        for call in message.tool_calls:
            yield call_text(call.name, call.arguments_json, call.beside)
    for tool in tools:
        yield tool_text(tool.name, tool.description, orjson.dumps(tool.parameters).decode())
    if form.schema:
        yield orjson.dumps(form.schema).decode()


def message_text(name: str, content: str) -> str:
    """A message as a model reads it, but for its calls."""
    return f"{name}{content}"


def call_text(name: str, arguments: str, beside: str = "") -> str:
    """A call as a model reads it, of what stands beside it the texts."""
    return f"{name}{arguments}{_strings(_parsed(beside))}" if beside else f"{name}{arguments}"


def tool_text(name: str, description: str, parameters: str) -> str:
    """A tool as a model reads it; `parameters` is the JSON of their schema, empty for none."""
    return f"{name}{description}{parameters or NO_PARAMETERS}"


def _parsed(beside: str) -> Any:
    try:
        return orjson.loads(beside)
    except orjson.JSONDecodeError:
        return beside


def _strings(value: Any) -> str:
    """The texts in a JSON, one behind the other."""
    if isinstance(value, dict | list):
        return "".join(map(_strings, value.values() if isinstance(value, dict) else value))
    return value if isinstance(value, str) else ""


def estimate_generation(generation: Generation) -> int:
    """About how many tokens a model reads that is asked this."""
    return estimate_prompt(prompt_texts(generation.messages, generation.tools, generation.response_format))


def believed(counted: Any, estimated: int, characters: int | None = None, context_length: int = 0) -> int:
    """A number of tokens as an upstream counts it, as far as it can be.

    The estimate where it gives none, or fewer than a token for LONGEST_TOKEN characters. Of one over the model's
    context, or MOST_TOKENS where that is not known, so much of it as can be: a report is never the cheaper for being
    too large. Four times the estimate can be in any case.

    `characters`: how many the text has, where the estimate counts more than the text.
    """
    if not _whole(counted):
        return estimated
    least = -(-estimated // LEAST_SHARE) if characters is None else -(-characters // LONGEST_TOKEN)
    most = max(context_length or MOST_TOKENS, LEAST_SHARE * estimated)
    return estimated if counted < least else int(min(counted, most))


def _whole(value: Any) -> TypeGuard[int | float]:
    """Whether it is a whole number; one of more than 64 bits is read as a float."""
    return type(value) is int or (type(value) is float and value.is_integer())


def _weight(text: str) -> int:
    """Twelfths of a token: three for a letter, four for a byte of a text that is not ASCII."""
    return 3 * len(text) if text.isascii() else 4 * len(text.encode("utf-8", "surrogatepass"))


class TextEstimate:
    """The estimate of a text that comes in pieces: what it is in the end does not depend on how it was cut."""

    __slots__ = ("_known", "_weight")

    def __init__(self) -> None:
        self._known = 0
        self._weight = 0

    def add(self, text: str, tokens: int = 0) -> None:
        """Count the next piece, which has so many tokens where that is known."""
        if tokens:
            self._known += tokens
        else:
            self._weight += 3 * len(text) if text.isascii() else _weight(text)

    def add_all(self, texts: Iterable[str]) -> None:
        """Count the next pieces."""
        self._weight += sum([3 * len(text) if text.isascii() else _weight(text) for text in texts])

    def clear(self) -> None:
        """Begin with nothing again."""
        self._known = self._weight = 0

    @property
    def tokens(self) -> int:
        return self._known + -(-self._weight // _UNIT)


class TokenTally:
    """The tokens of one answer as it comes: estimated until the upstream reports its usage, and where that cannot
    be."""

    __slots__ = ("_answer", "_beside", "_characters", "_context_length", "_counts", "_estimated", "_prompt", "_usage")

    def __init__(self, prompt: Iterable[str], context_length: int = 0, media: int = 0) -> None:
        """`prompt`: its texts. `context_length`: the model's, 0 where it is not known. `media`: an estimate of the
        tokens in the prompt that are no text."""
        texts = list(prompt)
        self._prompt = estimate_prompt(texts) + media
        self._characters = sum(map(len, texts))
        self._context_length = context_length
        self._answer = TextEstimate()
        self._beside = TextEstimate()
        self._usage: dict[str, Any] | None = None
        self._counts: TokenCounts | None = None
        self._estimated = True

    def add(self, *texts: str) -> None:
        """Count the next pieces of the answer."""
        self._answer.add_all(texts)
        self._counts = None

    def add_beside(self, text: str, media: int = 0) -> None:
        """Count what goes out beside the answer, about so many tokens of it no text. No report is disbelieved because
        it leaves that out."""
        self._beside.add(text)
        if media:
            self._beside.add("", media)
        self._counts = None

    def report(self, usage: Any) -> None:
        """Take what the upstream reports; the last report counts."""
        if isinstance(usage, dict):
            self._usage, self._counts = usage, None

    @property
    def reported(self) -> dict[str, Any] | None:
        """What the upstream has reported last."""
        return self._usage

    @property
    def counts(self) -> TokenCounts:
        """Of the answer so far."""
        return self._counts or self._count()

    @property
    def estimated(self) -> bool:
        """Whether the upstream did not report its usage, or not one that can be."""
        if self._counts is None:
            self._count()
        return self._estimated

    @property
    def implausible(self) -> bool:
        """Whether it reported one that cannot be."""
        return bool(self._usage) and self.estimated

    def _count(self) -> TokenCounts:
        usage, self._estimated = self._usage, True
        self._counts = TokenCounts(self._prompt, self._written) if usage is None else self._believed(usage)
        return self._counts

    @property
    def _written(self) -> int:
        return self._answer.tokens + self._beside.tokens

    def _believed(self, usage: Mapping[str, Any]) -> TokenCounts:
        """Some upstreams have what was thought in the total alone."""
        prompt, answer, total = (usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
        hit = _within(usage, "prompt_tokens_details", "cached_tokens")
        put = _within(usage, "prompt_tokens_details", "cache_write_tokens")
        thought = _within(usage, "completion_tokens_details", "reasoning_tokens")
        read = believed(prompt, self._prompt, self._characters, self._context_length)
        said = max(read, prompt) if _whole(prompt) else read
        answered = max(answer, total - said) if _whole(answer) and _whole(total) else answer
        text = CHARACTERS_PER_TOKEN * self._answer.tokens
        written = believed(answered, self._written, text, self._context_length)
        cached = int(min(read, max(0, hit))) if _whole(hit) else 0
        kept = int(min(read - cached, max(0, put))) if _whole(put) else 0
        reasoning = int(min(written, max(0, thought))) if _whole(thought) else 0
        whole = total is None or total == read + written
        counted = prompt == read and (answer == written or (_whole(answer) and total == read + written))
        self._estimated = not (whole and counted and (hit is None or hit == cached))
        return TokenCounts(read, written, cached, reasoning, kept)


def _within(usage: Mapping[str, Any], details: str, name: str) -> Any:
    """A number among the details of a usage; None where there is none."""
    found = usage.get(details)
    return found.get(name) if isinstance(found, dict) else None
