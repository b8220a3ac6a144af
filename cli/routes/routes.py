"""`headworks routes`: what routes that go by difficulty are trained with, and measured by."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.errors import USAGE, CliError
from cli.files import destination, read_text
from cli.options import json_option
from cli.output import print_json, print_table, warn
from cli.routes.label import label

if TYPE_CHECKING:
    from services.llm.difficulty.classifier import Floats
    from services.llm.difficulty.evaluation import Evaluation
    from services.llm.difficulty.scored import Scored

EMBEDDERS = ("all-minilm-l6-v2", "multilingual-e5-small")
BATCH = 64
Verb = Callable[..., Any]


@click.group()
def routes() -> None:
    """Train and measure the classifiers of routes that go by difficulty, see docs/difficulty.md.

    \b
    Examples:
      headworks routes label questions.jsonl --small mini --large maxi --out scores.jsonl
      headworks routes train scores.jsonl --small mini --large maxi --out difficulty.safetensors
      headworks routes evaluate scores.jsonl --model difficulty.safetensors
    """


routes.add_command(label)


def _bound_options(verb: Verb) -> Verb:
    verb = click.option(
        "--threshold", type=click.FloatRange(0, 1), help="The difficulty over which the large target is asked."
    )(verb)
    return click.option(
        "--cost", type=click.FloatRange(0, 1),
        help="What answers may cost, of what the large target's would; 0.5 unless --threshold is given.",
    )(verb)  # fmt: skip


@routes.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--small", required=True, help="The cheaper target, as the catalogue names it.")
@click.option("--large", required=True, help="The better target.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The classifier's file.")
@click.option(
    "--embedder", type=click.Choice(EMBEDDERS), default=EMBEDDERS[0], show_default=True,
    help="The embedder by which questions are compared, which the mesh has to serve.",
)  # fmt: skip
@_bound_options
@json_option
def train(
    file: Path, small: str, large: str, out: Path, embedder: str, cost: float | None, threshold: float | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Learn from the scored questions in FILE which ones the small target answers as well as the large one.

    A line of FILE is {"question": …, "scores": {SMALL: 0..1, LARGE: 0..1}, "cost": {SMALL: …, LARGE: …}}; cost may be
    left out, and so may the score of one target. `headworks routes label` writes such a file. A fifth of the questions
    is held out, by their hash, and the classifier is measured on it.

    \b
    Example:
      headworks routes train scores.jsonl --small mini --large maxi --out difficulty.safetensors
    """
    from services.llm.difficulty.evaluation import evaluate as measured
    from services.llm.difficulty.scored import BadScores
    from services.llm.difficulty.training import train as trained

    if small == large:
        raise CliError("--small and --large name the same target", USAGE)
    embed = _embed(embedder)
    scored = _read(file, small, large)
    try:
        classifier = trained(small, large, embedder, scored, embed)
        found = measured(classifier, scored, embed, cost, threshold)
    except BadScores as error:
        raise CliError(f"{file}: {error}") from None
    with destination(out) as written:
        written.write(classifier.to_bytes())
    _print(found, as_json, f"{out} has learned from {len(classifier.asked)} questions")


@routes.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--model", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The classifier's file, as `headworks routes train` writes it.",
)  # fmt: skip
@_bound_options
@json_option
def evaluate(file: Path, model: Path, cost: float | None, threshold: float | None, as_json: bool) -> None:
    """Measure a classifier on the scored questions in FILE that it has not learned.

    Beside it stand either target alone, a choice at random that costs as much, and the heuristic that judges where no
    embedder answers.

    \b
    Example:
      headworks routes evaluate scores.jsonl --model difficulty.safetensors --cost 0.3
    """
    from services.llm.difficulty.classifier import BadClassifier, read
    from services.llm.difficulty.evaluation import evaluate as measured
    from services.llm.difficulty.scored import BadScores

    try:
        classifier = read(model)
        scored = _read(file, classifier.small, classifier.large)
        found = measured(classifier, scored, _embed(classifier.embedder), cost, threshold)
    except BadClassifier as error:
        raise CliError(str(error)) from None
    except BadScores as error:
        raise CliError(f"{file}: {error}") from None
    _print(found, as_json, f"{found.questions} questions that it has not learned")


def _read(file: Path, small: str, large: str) -> "list[Scored]":
    """Raises CliError."""
    from services.llm.difficulty.scored import BadScores, parse

    try:
        return parse(read_text(file), str(file), small, large)
    except BadScores as error:
        raise CliError(str(error)) from None


def _embed(name: str) -> "Callable[[list[str]], Floats]":
    """Embeds here, as the mesh does. Raises CliError where that embedder is not installed."""
    import numpy as np

    from services.models.embedders import load
    from services.models.weights import WeightsNotFound

    try:
        encoder = load(name, "query")
    except WeightsNotFound as error:
        raise CliError(str(error)) from None

    def embed(texts: list[str]) -> "Floats":
        batches = (encoder.encode(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH))
        return np.array([each.vector for batch in batches for each in batch], np.float32)

    return embed


def _print(found: "Evaluation", as_json: bool, head: str) -> None:
    if as_json:
        print_json(found.json)
        return
    click.echo(f"{head}; measured on {found.questions}, threshold {found.threshold:.3f}\n")
    rows = [
        (one.name, f"{one.score:.3f}", f"{one.low:.3f}–{one.high:.3f}", f"{one.cost:.3f}", f"{one.small:.0%}")
        for one in found.outcomes
    ]
    print_table(("choice", "score", "95 %", "cost", "to the small one"), rows)
    more, low, high = found.better
    click.echo(
        f"\n{found.of_large:.3f} of the large one's score, {more:+.3f} ({low:+.3f} to {high:+.3f}) over chance at "
        f"equal cost; abstained from {found.abstained:.1%}\n"
    )
    curve = [
        (f"{one.bound:.1f}", f"{one.threshold:.3f}", f"{one.cost:.3f}", f"{one.score:.3f}", f"{one.chance:.3f}",
         f"{one.small:.0%}")
        for one in found.curve
    ]  # fmt: skip
    print_table(("cost at most", "threshold", "cost", "score", "by chance", "to the small one"), curve)
    click.echo()
    calibration = [(one.target, f"{one.brier:.3f}", f"{one.ece:.3f}") for one in found.calibration]
    print_table(("calibration", "Brier", "ECE"), calibration)
    if low <= 0:
        warn("on these questions it is not surely better than chance: score more of them, or ask one target alone")
