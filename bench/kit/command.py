"""What every benchmark's command has in common: options, progress, the report, the exit code."""

import argparse
import signal
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench.kit import BenchError
from bench.kit.report import Report

ROOT = Path(__file__).resolve().parents[2]
DATA_DEFAULT = "../shared/data/xquad"
FAILED, MISSED, INTERRUPTED = 1, 1, 130
WIDTH = 160

Say = Callable[[str], None]


def parser(
    name: str, description: str, examples: str, rounds: int, xquad: bool = True, mesh: bool = True
) -> argparse.ArgumentParser:
    """A parser with the options that all share; `xquad` for those that measure on it, `mesh` through one."""
    made = argparse.ArgumentParser(
        prog=f"python -m bench.{name}",
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", type=Path, metavar="PATH", help="write the figures there too, with versions and cores")
    made.add_argument("--rounds", type=positive, default=rounds, help=f"rounds to take the median of ({rounds})")
    if xquad:
        made.add_argument(
            "--data", type=Path, default=ROOT / DATA_DEFAULT,
            help=f"folder with XQuAD ({DATA_DEFAULT}, from the repository's root)",
        )  # fmt: skip
    if mesh:
        made.add_argument(
            "--mesh", type=Path, metavar="DIR", help="use the mesh that runs on DIR; by default start one"
        )
    made.add_argument("--strict", action="store_true", help="exit with 1 where a goal is missed")
    return made


def positive(text: str) -> int:
    """An int of 1 or more. Raises ArgumentTypeError."""
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value


def execute(options: argparse.Namespace, measure: Callable[[argparse.Namespace, Say], Report]) -> int:
    """Measure, print, write; the exit code: 0, 1 for a failed run or (strict) a missed goal, 130 for Ctrl-C."""
    progress = Console(stderr=True)
    signal.signal(signal.SIGTERM, _interrupt)

    def say(text: str) -> None:
        progress.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    try:
        report = measure(options, say)
        report.show(_screen())
        if options.json:
            report.write(options.json)
    except (BenchError, OSError) as error:
        say(f"bench: {error}")
        return FAILED
    except KeyboardInterrupt:
        say("bench: interrupted")
        return INTERRUPTED
    return MISSED if options.strict and report.missed else 0


def _screen() -> Console:
    """Standard output; wide enough for the tables where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _interrupt(_number: int, _frame: object) -> None:
    """SIGTERM stops what was started, as Ctrl-C does."""
    raise KeyboardInterrupt
