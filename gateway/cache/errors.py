"""The errors of who looks after the cache; calls of models have none, for to them it is a miss."""

from services.runtime.errors import DomainError, ErrorKind


class CacheUnavailable(DomainError):
    """The answers in Redis cannot be reached."""

    kind = ErrorKind.UNAVAILABLE
    reason = "CACHE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the cached answers in Redis cannot be reached for now")
