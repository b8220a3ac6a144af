"""How well scores tell attacks from harmless texts."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from services.models.injection.examples import Example

Floats = npt.NDArray[np.float32]


def auc(scores: Floats, attacks: npt.NDArray[np.bool_]) -> float:
    """The area under the ROC curve: how often an attack scores above a harmless text, ties counting half."""
    harmless = np.sort(scores[~attacks])
    below = np.searchsorted(harmless, scores[attacks], side="left")
    up_to = np.searchsorted(harmless, scores[attacks], side="right")
    return float((below + up_to).sum() / 2 / (len(below) * len(harmless)))


def threshold_at(scores: Floats, attacks: npt.NDArray[np.bool_], rate: float) -> float:
    """The lowest threshold above which no more than this share of the harmless texts scores."""
    harmless = np.sort(scores[~attacks])
    return float(harmless[len(harmless) - 1 - int(rate * len(harmless))])


def caught(scores: Floats, attacks: npt.NDArray[np.bool_], threshold: float) -> float:
    """The share of the attacks that score above the threshold."""
    return float((scores[attacks] > threshold).mean())


def report(examples: Sequence[Example], scores: Floats) -> list[str]:
    """Lines for people: the whole, then by language and by kind."""
    attacks = np.array([example.attack for example in examples])
    threshold = threshold_at(scores, attacks, 0.01)
    lines = [
        f"{attacks.sum()} attacks, {(~attacks).sum()} harmless",
        f"AUC {auc(scores, attacks):.4f}",
        f"TPR at 1% FPR {caught(scores, attacks, threshold):.3f} (threshold {threshold:.3f})",
    ]
    lines += [
        f"above {level}: {caught(scores, attacks, level):.3f} of attacks, "
        f"{caught(scores, ~attacks, level):.4f} of harmless"
        for level in (0.5, 0.8, 0.9)
    ]
    return (
        lines
        + _by("language", lambda one: one.language, examples, scores, threshold)
        + _by("kind", lambda one: one.kind, examples, scores, threshold)
    )


def _by(
    name: str, key: Callable[[Example], str], examples: Sequence[Example], scores: Floats, threshold: float
) -> list[str]:
    groups: dict[str, list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        groups[key(example)].append(number)
    lines = []
    for group, numbers in sorted(groups.items()):
        attacks = np.array([examples[number].attack for number in numbers])
        own = scores[numbers]
        parts = [f"{name} {group}: {len(numbers)}"]
        if attacks.any() and not attacks.all():
            parts.append(f"AUC {auc(own, attacks):.4f}")
        if attacks.any():
            parts.append(f"caught {caught(own, attacks, threshold):.3f}")
        if not attacks.all():
            parts.append(f"false alarms {caught(own, ~attacks, threshold):.3f}")
        lines.append(", ".join(parts))
    return lines
