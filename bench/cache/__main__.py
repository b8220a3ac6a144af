"""The cache of answers: exact hits beside the same pipeline without it, and answers by meaning, right and wrong."""

import argparse
import sys
from dataclasses import replace

from bench.cache import latency, meaning, speed
from bench.kit.command import Say, execute, parser, positive
from bench.kit.report import Report

PARTS = ("speed", "meaning", "latency")
NOTES = (
    "answers by meaning: each question with each of its paraphrases and near misses, of which there are far more here "
    "than in traffic; the questions are none that the verifier was fitted on. From and to: Wilson's interval, 95 %.",
    "GPTCache as it comes, init_similar_cache, with the same vectors.",
)
EXAMPLES = """\
  python -m bench.cache
  python -m bench.cache --parts speed --rounds 3 --json cache.json
  python -m bench.cache --parts meaning --no-peer"""


def measure(options: argparse.Namespace, say: Say) -> Report:
    """The parts that are asked for. Raises BenchError."""
    report = Report(title="the cache of answers", cases=(), results={}, goals=(), rounds=options.rounds)
    if "speed" in options.parts:
        report = speed.measure(options, say)
    extras, goals = list(report.extras), list(report.goals)
    if "meaning" in options.parts:
        extra, own = meaning.measure(say, options.peer)
        extras.append(extra)
        goals += own
    if "latency" in options.parts:
        extra, own = latency.measure(options, say)
        extras.append(extra)
        goals += own
    return replace(report, extras=extras, goals=goals, notes=(*report.notes, *NOTES))


def _options() -> argparse.Namespace:
    made = parser("cache", __doc__ or "", EXAMPLES, rounds=5, xquad=False)
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure (all)")
    made.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True, help="measure GPTCache beside")
    made.add_argument("--seconds", type=float, default=2.0, help="that each side is measured in a round (2)")
    made.add_argument("--warm-up", type=positive, default=1, help="seconds before that (1)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), measure))
