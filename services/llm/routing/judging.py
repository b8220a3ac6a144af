"""The kind of fault that an error of a model's engine is. Pure."""

from collections.abc import Mapping

from services.llm.errors import (
    ContextTooLong,
    UpstreamBroken,
    UpstreamBusy,
    UpstreamMisconfigured,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from services.llm.faults import Fault
from services.runtime.errors import FINAL, DomainError, ErrorKind

_POLICY = ("content_filter", "content_policy_violation", "responsibleaipolicyviolation")
_BY_CLASS: tuple[tuple[type[DomainError], Fault], ...] = (
    (UpstreamBusy, Fault.RATE_LIMIT),
    (UpstreamUnreachable, Fault.CONNECT),
    (UpstreamUnavailable, Fault.OVERLOAD),
    (UpstreamTimeout, Fault.TIMEOUT),
    (UpstreamBroken, Fault.BROKEN),
    (UpstreamMisconfigured, Fault.AUTH),
    (ContextTooLong, Fault.CONTEXT),
    (UpstreamRefused, Fault.BAD_REQUEST),
)
_BY_KIND: Mapping[ErrorKind, Fault] = {
    ErrorKind.INVALID_ARGUMENT: Fault.BAD_REQUEST,
    ErrorKind.FAILED_PRECONDITION: Fault.BAD_REQUEST,
    ErrorKind.RESOURCE_EXHAUSTED: Fault.FULL,
    ErrorKind.UNAVAILABLE: Fault.CONNECT,
    ErrorKind.INTERNAL: Fault.BROKEN,
}


def fault_of(error: DomainError) -> Fault:
    """The kind of an error that a model's engine has raised."""
    fault = fault_of_upstream(error)
    return _BY_KIND.get(error.kind, Fault.OURS) if fault is Fault.OURS else fault


def fault_of_upstream(error: DomainError) -> Fault:
    """The kind of an error that was raised while an upstream's answer was read: by who reads it, unless it is one of an
    upstream's own."""
    if isinstance(error, UpstreamRefused) and error.details.get("code", "").lower() in _POLICY:
        return Fault.CONTENT_POLICY
    return next((fault for kind, fault in _BY_CLASS if isinstance(error, kind)), Fault.OURS)


def may_repeat(error: DomainError) -> bool:
    """Whether the same target may be asked again: not where it has worked on the question already."""
    return not error.begun and error.details.get(FINAL) != "true"
