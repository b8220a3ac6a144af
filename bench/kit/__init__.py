"""What every benchmark shares: its command, its sides in turn, its figures and goals, its report."""


class BenchError(Exception):
    """The run itself failed; the message says what is wrong and what to do."""
