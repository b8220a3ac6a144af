"""The error that all models share."""


class InvalidRequest(Exception):
    """The request cannot be read; the message says why, to the caller."""
