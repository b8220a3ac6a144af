"""Whether texts try to take the model over, by whoever can judge it."""

from collections.abc import Sequence
from typing import Protocol

from gateway.guard.finding import Action, Finding
from gateway.guard.specs import InjectionSpec
from services.runtime.errors import DomainError

INJECTION, UNSCREENED = "PROMPT_INJECTION", "UNSCREENED"


class Classifier(Protocol):
    """Has a deadline of its own."""

    async def scores(self, texts: Sequence[str]) -> list[float]:
        """0 to 1 for each text. Raises DomainError where it cannot be said."""
        ...


async def injections(
    classifier: Classifier | None, specs: Sequence[InjectionSpec], texts: Sequence[str]
) -> list[Finding]:
    """What is found in the texts, asking once for all of them. Without a classifier nothing is."""
    if classifier is None or not specs or not texts:
        return []
    try:
        scores = await classifier.scores(texts)
    except DomainError:
        return [_unscreened(spec) for spec in specs]
    return [
        Finding(spec.guard, INJECTION, spec.action, spec.mode, 0, len(text), score, "reads like an attack", item)
        for item, (text, score) in enumerate(zip(texts, scores, strict=True))
        for spec in specs
        if score >= spec.threshold
    ]


def _unscreened(spec: InjectionSpec) -> Finding:
    """Nothing could be said: closed blocks."""
    action = Action.BLOCK if spec.when_gone == "closed" else Action.FLAG
    return Finding(spec.guard, UNSCREENED, action, spec.mode, 0, 0, 0.0, "the classifier cannot be reached")
