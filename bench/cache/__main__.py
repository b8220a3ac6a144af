"""The cache of answers: exact hits, beside the same pipeline without it."""

import argparse
import sys

from bench.cache import speed
from bench.kit.command import execute, parser, positive

EXAMPLES = """\
  python -m bench.cache
  python -m bench.cache --rounds 5 --json cache.json"""


def _options() -> argparse.Namespace:
    made = parser("cache", __doc__ or "", EXAMPLES, rounds=5, xquad=False)
    made.add_argument("--seconds", type=float, default=2.0, help="that each side is measured in a round (2)")
    made.add_argument("--warm-up", type=positive, default=1, help="seconds before that (1)")
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(execute(_options(), speed.measure))
