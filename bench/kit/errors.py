"""How a benchmark fails."""


class BenchError(Exception):
    """The run itself failed; the message says what is wrong and what to do."""
