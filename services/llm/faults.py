"""What kinds of faults there are when a model is asked, and what is to be done about each. Pure."""

from collections.abc import Mapping
from enum import StrEnum


class Fault(StrEnum):
    """The words are those of the catalogue's file and of answers."""

    RATE_LIMIT = "rate_limit"
    OVERLOAD = "overload"  # it says that it is in trouble
    FULL = "full"  # our own bound on it, or the queue of the mesh's own model
    TIMEOUT = "timeout"
    CONNECT = "connect"
    CONTEXT = "context"
    CONTENT_POLICY = "content_policy"
    AUTH = "auth"  # only its operator can help
    BAD_REQUEST = "bad_request"
    BROKEN = "broken"  # the answer is none, or breaks off
    OURS = "ours"  # the caller's deadline, or a fault of this side


class Remedy(StrEnum):
    """What is done about a fault, as long as nothing of the answer has gone out."""

    AGAIN = "again"  # the same target once more, then another
    NEXT = "next"  # another target; the same one again where there is no other and it has not worked on it
    OTHER = "other"  # another target, or none
    LARGER = "larger"  # a target with a longer context
    NEVER = "never"


REMEDIES: Mapping[Fault, Remedy] = {
    Fault.RATE_LIMIT: Remedy.NEXT,
    Fault.OVERLOAD: Remedy.NEXT,
    Fault.FULL: Remedy.OTHER,
    Fault.TIMEOUT: Remedy.OTHER,
    Fault.CONNECT: Remedy.NEXT,
    Fault.CONTEXT: Remedy.LARGER,
    Fault.CONTENT_POLICY: Remedy.NEVER,
    Fault.AUTH: Remedy.OTHER,
    Fault.BAD_REQUEST: Remedy.NEVER,
    Fault.BROKEN: Remedy.OTHER,
    Fault.OURS: Remedy.NEVER,
}
"""Unless a route says otherwise."""
SICK = frozenset((Fault.RATE_LIMIT, Fault.OVERLOAD, Fault.TIMEOUT, Fault.CONNECT, Fault.AUTH, Fault.BROKEN))
"""Faults after which a target is better left alone for a while; after the others it is well."""
UNTOLD = frozenset((Fault.FULL, Fault.OURS))
"""Faults that say nothing of it."""
