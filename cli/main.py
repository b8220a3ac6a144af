"""The entry point, which imports all else where Ctrl-C is seen to."""

import sys

from cli.errors import INTERRUPTED


def main(argv: list[str] | None = None) -> None:
    """Run the command line and end with its code."""
    try:
        from cli.program import begin

        code = begin(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)
