"""What a call asks of a model, as far as the pipeline goes."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.cache.question import Asked

# Reserved for an answer whose length nobody limits; more is taken as the answer grows.
ANSWER_TOKENS = 256


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """`model`: the model or agent, `models` those that the agent asks, the one that answers first.

    `texts`: all that the caller sends to be read, in order. `instructions`: what an answer must not give away.
    `prompt_tokens` and `answer_tokens` are estimates. `lasts`: whether it counts among the calls at once, streamed or
    not. `instructs`: whether a model does what the texts say. `flows`: which of the texts are read one behind the
    other, over messages too; `lists`: the same of other lists, each by itself. `unread` and `speaks` name the fields
    with what no guard can read, and with the wish for an answer of that kind; empty where there are none. `cached`: how
    the cache compares the question; None for a call whose answer is never kept.
    """

    model: str
    texts: Sequence[str]
    instructions: str = ""
    prompt_tokens: int = 0
    answer_tokens: int = ANSWER_TOKENS
    lasts: bool = True
    instructs: bool = True
    flows: Sequence[Sequence[int]] = ()
    lists: Sequence[Sequence[int]] = ()
    unread: str = ""
    speaks: str = ""
    models: Sequence[str] = ()
    cached: Asked | None = None

    @property
    def beside(self) -> Sequence[str]:
        """Whose limits, budgets and guards count beside those of its own name."""
        return tuple(model for model in self.models if model != self.model)

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.answer_tokens
