"""What is wrong with who calls, and with changes of who may."""

from services.runtime.errors import DomainError, ErrorKind, InvalidArgument, Unauthenticated, Unavailable


class NotFound(DomainError):
    """There is no such thing in the tenant."""

    kind = ErrorKind.NOT_FOUND

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"there is no {noun} {name!r}", name=name)
        self.reason = f"{noun.upper().replace(' ', '_')}_NOT_FOUND"  # type: ignore[misc]  # one for each noun


class AlreadyExists(DomainError):
    """The name is taken."""

    kind = ErrorKind.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"there is a {noun} {name!r} already", name=name)


class BadName(InvalidArgument):
    """A name that nothing can have."""


class KeyNotLive(DomainError):
    """The key was revoked or has expired, so that there is nothing to rotate."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "KEY_NOT_LIVE"


class TenantSuspended(DomainError):
    kind = ErrorKind.PERMISSION_DENIED
    reason = "TENANT_SUSPENDED"

    def __init__(self, tenant: str) -> None:
        super().__init__(f"the tenant {tenant!r} is suspended", tenant=tenant)


class RunIdentityRefused(Unauthenticated):
    """A run may not go on as its caller."""

    reason = "RUN_IDENTITY_REFUSED"


class IdentityStale(Unavailable):
    """What is known of keys may be older than a revocation."""

    reason = "IDENTITY_STALE"

    def __init__(self) -> None:
        super().__init__("who may call is not known for now: the gateway's records cannot be reached")


class TooManyAttempts(DomainError):
    """An address came with too many keys or tokens that are not valid."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_ATTEMPTS"

    def __init__(self, seconds: float) -> None:
        super().__init__("too many calls without a valid key from this address: try again later")
        self.retry_in(seconds)
