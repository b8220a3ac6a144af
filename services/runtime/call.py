"""The call being served: who asks, until when, under which ids; and what a call further down inherits from it."""

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypedDict

from services.runtime.errors import DeadlineExceeded
from services.runtime.identity import IDENTITY_KEY, REFRESH_KEY, Identity
from services.runtime.spelling import VARIABLES
from services.runtime.tracing import inject

REQUEST_ID_KEY = "x-request-id"
# Names the replica that a call is for; control's routes go by it.
REPLICA_KEY = "x-headworks-replica"
# Names one of the replicas by its number, from 0, whichever they are: the number is taken modulo their count, so that
# two that follow each other are two replicas where there are as many. From ORDINALS on there is no route.
ORDINAL_KEY = "x-headworks-replica-ordinal"
ORDINALS = 16
# What the gateway knows of a run when it admits it: UNSCREENED where no policy screens what its agent reads; SCREENED
# where one does; CLOSED where that one wants nothing to be read while it cannot be screened. The gateway alone sets it,
# beside the identity; without it the guards are asked, and nothing is known to be open.
READS_KEY = "x-headworks-reads"
UNSCREENED = "unscreened"
SCREENED = "screened"
CLOSED = "closed"
# What sets the deadline of a call, where that is a setting: the next service has no other way to name it.
LIMIT_KEY = "x-headworks-limit"


@dataclass(slots=True)
class Call:
    """One call being served, whatever protocol it came by.

    `method` is an RPC's path, or a verb and the template of an HTTP path; `metadata` holds its headers in lower case.
    `deadline` is a point on the monotonic clock, in seconds, and `limit` what sets it, in words, to `limit_seconds`;
    `timeout` the seconds that the caller gives, if any.
    `token` is the signed form of `identity`; `renew`, where there is one, sees to it that it does not end before its
    call. `refresh_token` goes to the orchestrator with the calls that may outlive `token`. `peer` is the other end of
    the connection, as gRPC writes it.
    `uploads` says that the caller streams its requests. `notes` is what was decided about it and why, for its log line
    and for the audit; what was said is never noted there. `audited` says that the audit has it already.
    `headers` go out before the first response. `address`: where the call came from, where that is known.
    """

    method: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    request_id: str = ""
    deadline: float = float("inf")
    identity: Identity | None = None
    token: str = ""
    refresh_token: str = ""
    renew: Callable[[], Awaitable[None]] | None = None
    uploads: bool = False
    started: float = field(default_factory=time.monotonic)
    first_sent: float | None = None
    sent: int = 0
    received: int = 0
    code: int = 0
    reason: str = ""
    notes: dict[str, object] = field(default_factory=dict)
    audited: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    address: str = ""
    peer: str = ""
    timeout: float | None = None
    limit: str = ""
    limit_seconds: float = float("inf")

    @property
    def remaining(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.deadline - time.monotonic()

    @property
    def tenant(self) -> str:
        """The caller's tenant."""
        if self.identity is None:
            raise LookupError(f"{self.method} was served without an identity")
        return self.identity.tenant


_current: ContextVar[Call] = ContextVar("call")


def current() -> Call:
    """The call being served. LookupError outside of one."""
    return _current.get()


def current_or_none() -> Call | None:
    return _current.get(None)


def enter(call: Call) -> None:
    """Make `call` the current one of this task and of those it starts."""
    _current.set(call)


async def renewed() -> None:
    """See to it that what is called next, as the call being served, gets an identity token that is good. Raises
    DomainError where none is to be had."""
    call = current_or_none()
    if call is not None and call.renew is not None:
        await call.renew()


def new_request_id() -> str:
    return f"req_{uuid.uuid4().hex}"


class Outgoing(TypedDict):
    """The keyword arguments of a stub's call."""

    timeout: float
    metadata: tuple[tuple[str, str], ...]


def outgoing(limit: float, call: Call | None = None) -> Outgoing:
    """What a call to another service inherits from the one being served (or from `call`): its identity, its ids
    and what remains of its deadline, `limit` seconds at most.

    Raises DeadlineExceeded where nothing remains.
    """
    call = call or current()
    timeout = min(limit, call.remaining)
    if timeout <= 0:
        raise DeadlineExceeded("the deadline passed before the call could be made")
    metadata = [(REQUEST_ID_KEY, call.request_id), *inject()]
    if call.token:
        metadata.append((IDENTITY_KEY, call.token))
    if call.limit.startswith(VARIABLES) and call.remaining <= limit:
        metadata.append((LIMIT_KEY, call.limit))
    if call.refresh_token:
        metadata.append((REFRESH_KEY, call.refresh_token))
    return {"timeout": timeout, "metadata": tuple(metadata)}
