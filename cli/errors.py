"""How a verb fails: one line that says what is wrong and what to do, and an exit code."""

FAILURE = 1
USAGE = 2
INTERRUPTED = 130
TERMINATED = 143


class CliError(Exception):
    """Ends the command with `code` after printing its message."""

    def __init__(self, message: str, code: int = FAILURE) -> None:
        super().__init__(message)
        self.code = code


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a verb as Ctrl-C does."""


def interrupted(stop: BaseException | None, message: str = "") -> CliError:
    """The end of a verb by Ctrl-C or SIGTERM, with what is to be said of it."""
    how, code = ("terminated", TERMINATED) if isinstance(stop, Terminated) else ("interrupted", INTERRUPTED)
    return CliError(f"{how}: {message}" if message else how, code)
