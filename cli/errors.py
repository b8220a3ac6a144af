"""How a verb fails: one line that says what is wrong and what to do, and an exit code."""

FAILURE = 1
USAGE = 2
INTERRUPTED = 130


class CliError(Exception):
    """Ends the command with `code` after printing its message."""

    def __init__(self, message: str, code: int = FAILURE) -> None:
        super().__init__(message)
        self.code = code
