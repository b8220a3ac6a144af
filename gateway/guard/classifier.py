"""Whether texts try to take the model over, by whoever can judge it."""

from collections.abc import Sequence
from typing import Protocol

from gateway.guard.finding import Action, Finding
from gateway.guard.specs import InjectionSpec
from services.runtime.errors import DomainError, Unavailable

INJECTION, UNSCREENED = "PROMPT_INJECTION", "UNSCREENED"


class Unjudged(Unavailable):
    """The model did not answer. `scores`: what is known of each text without it; empty where nothing is."""

    reason = "INJECTION_UNJUDGED"

    def __init__(self, scores: Sequence[float]) -> None:
        super().__init__("the classifier cannot be reached")
        self.scores = scores


class Classifier(Protocol):
    """Has a deadline of its own."""

    async def scores(self, texts: Sequence[str]) -> list[float]:
        """0 to 1 for each text. Raises DomainError where it cannot be said, Unjudged where a part of it can."""
        ...


async def injections(
    classifier: Classifier | None, specs: Sequence[InjectionSpec], texts: Sequence[str]
) -> list[Finding]:
    """What is found in the texts, asking once for all of them. Without a classifier nothing is."""
    if classifier is None or not specs or not texts:
        return []
    try:
        scores = await classifier.scores(texts)
    except DomainError as error:
        known = error.scores if isinstance(error, Unjudged) else ()
        return [*_found(specs, texts, known), *(_unscreened(spec) for spec in specs)]
    return _found(specs, texts, scores)


def _found(specs: Sequence[InjectionSpec], texts: Sequence[str], scores: Sequence[float]) -> list[Finding]:
    """What the scores say, of which there may be none."""
    return [
        Finding(spec.guard, INJECTION, spec.action, spec.mode, 0, len(text), score, "reads like an attack", item)
        for item, (text, score) in enumerate(zip(texts, scores, strict=False))
        for spec in specs
        if score >= spec.threshold
    ]


def _unscreened(spec: InjectionSpec) -> Finding:
    """Nothing could be said: closed blocks."""
    action = Action.BLOCK if spec.when_gone == "closed" else Action.FLAG
    return Finding(spec.guard, UNSCREENED, action, spec.mode, 0, 0, 0.0, "the classifier cannot be reached")
