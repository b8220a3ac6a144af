"""The error that both models share."""


class InvalidRequest(Exception):
    """The request cannot be read; the message says why, to the caller."""
