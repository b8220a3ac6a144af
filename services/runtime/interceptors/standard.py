"""The layers around every call, outermost first in `layers`: what is recorded of it, how it fails, how long it may
take, who calls."""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc
from opentelemetry.trace import Span

from services.runtime import metrics, statuses, tracing
from services.runtime.call import LIMIT_KEY, REQUEST_ID_KEY, Call, new_request_id
from services.runtime.errors import DeadlineExceeded, DomainError, ErrorKind, Unauthenticated
from services.runtime.identity import IDENTITY_KEY, TokenVerifier
from services.runtime.interceptors.chain import CallLayer, Serve, T
from services.runtime.redaction import identifier
from services.runtime.time_limit import CALLERS, TimeLimit

log = logging.getLogger(__name__)
access_log = logging.getLogger("access")

SETTING = re.compile(r"HEADWORKS_[A-Z_]{1,80}")
# Of these a server is at fault, by OpenTelemetry's conventions.
FAULTS = frozenset(code.value[0] for code in (
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS,
))  # fmt: skip
# What is noted of a call (see Call.notes), and the attribute that it is.
NOTED = {
    "model": "gen_ai.request.model", "run_id": "headworks.run.id", "collection": "headworks.collection",
    "prompt_tokens": "gen_ai.usage.input_tokens", "completion_tokens": "gen_ai.usage.output_tokens",
    "cost_nanos": "headworks.cost_nanos", "finish": "headworks.finish_reason", "decision": "headworks.decision",
}  # fmt: skip
SERIOUS = (ErrorKind.INTERNAL, ErrorKind.UNAVAILABLE)
NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def layers(
    verifier: TokenVerifier | None, max_deadline: float, max_upload: float | None = None, service: str = ""
) -> list[CallLayer]:
    """The layers of a service, outermost first. Without a verifier callers are not identified: the gateway, which
    identifies them itself, and control, which no caller from outside reaches. `service` is whose settings the limits
    are."""
    return [
        Trace(),
        AccessLog(),
        Metrics(),
        Errors(),
        Deadline(max_deadline, max_upload or max_deadline, service),
        *([Identify(verifier)] if verifier else []),
    ]


class Trace:
    """A server span around the call, under the caller's; and the request's id: the caller's, if it is one that can be
    logged and handed on. `http_status`: what an error becomes where the call came by HTTP."""

    def __init__(self, http_status: Callable[[DomainError], int] | None = None) -> None:
        self._http_status = http_status

    async def around(self, call: Call, serve: Serve[T]) -> T:
        call.request_id = identifier(call.metadata.get(REQUEST_ID_KEY, "")) or new_request_id()
        parent = tracing.extract(call.metadata)
        with tracing.server_span(call.method.removeprefix("/"), parent) as span:
            if not span.is_recording():
                return await serve()
            try:
                answer = await serve()
            except BaseException as error:
                self._fail(span, call, error)
                raise
            tracing.describe(span, self._attributes(call))
            return answer

    def _fail(self, span: Span, call: Call, error: BaseException) -> None:
        reason = call.reason or NAMES.get(call.code, "UNKNOWN")
        if call.code in FAULTS:
            tracing.fail(span, error, reason)
        else:  # the caller's own affair, such as a collection that is not there
            tracing.describe(span, {"error.type": reason})
        tracing.describe(span, self._attributes(call, error))

    def _attributes(self, call: Call, error: BaseException | None = None) -> tracing.Attributes:
        """What is known of a call that is over."""
        identity, notes = call.identity, call.notes
        known: dict[str, Any] = {
            "headworks.request.id": call.request_id, "headworks.tenant": identity.tenant if identity else None,
            **{attribute: notes.get(note) for note, attribute in NOTED.items()},
        }  # fmt: skip
        if not call.method.startswith("/"):
            verb, _, path = call.method.partition(" ")
            known |= {"http.request.method": verb, "http.route": path}
            if error is None:
                known["http.response.status_code"] = 200
            elif self._http_status and isinstance(error, DomainError):
                known["http.response.status_code"] = self._http_status(error)
            return known
        method = call.method.removeprefix("/")
        # Under their names of today and of yesterday, which many backends still look for.
        return known | {
            "rpc.system.name": "grpc", "rpc.system": "grpc", "rpc.method": method,
            "rpc.service": method.rpartition("/")[0], "rpc.response.status_code": NAMES.get(call.code, "UNKNOWN"),
            "rpc.grpc.status_code": call.code,
        }  # fmt: skip


class AccessLog:
    """One log line a call, when it is over."""

    async def around(self, call: Call, serve: Serve[T]) -> T:
        try:
            return await serve()
        finally:
            level = logging.WARNING if call.code in SERIOUS else logging.INFO
            access_log.log(
                level,
                "served",
                extra={
                    "method": call.method,
                    "code": call.code,
                    "reason": call.reason,
                    "ms": round((time.monotonic() - call.started) * 1000, 2),
                    "sent": call.sent,
                    "subject": call.identity.subject if call.identity else "",
                    **({"notes": call.notes} if call.notes else {}),
                },
            )


class Metrics:
    """RED metrics of the call."""

    async def around(self, call: Call, serve: Serve[T]) -> T:
        method = metrics.of_method(call.method)
        method.in_flight.inc()
        try:
            return await serve()
        finally:
            method.in_flight.dec()
            method.seconds.observe(time.monotonic() - call.started)
            if call.first_sent is not None:
                method.first_message.observe(call.first_sent - call.started)
            method.sent.inc(call.sent)
            method.received.inc(call.received)
            method.handled(NAMES.get(call.code, "UNKNOWN"))


class Errors:
    """Every exception becomes a DomainError, here and nowhere else; the protocol's own end makes a status of it.

    A DomainError keeps its kind and message; another service's error is passed on; anything else is INTERNAL with
    an id that the log has too, and nothing of its text. Statuses set by hand and cancellation pass untouched.
    """

    async def around(self, call: Call, serve: Serve[T]) -> T:
        try:
            return await serve()
        except grpc.aio.AbortError:
            raise
        except asyncio.CancelledError:
            call.code = int(ErrorKind.DEADLINE_EXCEEDED if call.remaining <= 0 else ErrorKind.CANCELLED)
            raise
        except Exception as error:
            failed = _own_limit(_domain_error(error, call), call)
            call.code, call.reason = int(failed.kind), failed.reason
            if failed is error:
                raise
            raise failed from error


class Deadline:
    """The caller's deadline, or `longest` seconds where that is sooner or the caller set none; for a call that streams
    its requests, `longest_upload`. Both are settings of the `service`."""

    def __init__(self, longest: float, longest_upload: float, service: str = "") -> None:
        self._longest, self._longest_upload = TimeLimit(longest), TimeLimit(longest_upload)
        if service:
            self._longest = TimeLimit.of(service, "max_deadline_seconds", longest)
            self._longest_upload = TimeLimit.of(service, "max_upload_seconds", longest_upload)

    async def around(self, call: Call, serve: Serve[T]) -> T:
        longest = self._longest_upload if call.uploads else self._longest
        least = longest
        if call.timeout is not None and call.timeout < longest.seconds:
            named = call.metadata.get(LIMIT_KEY, "")
            least = TimeLimit(call.timeout, named if SETTING.fullmatch(named) else CALLERS)
        call.limit, call.limit_seconds = least.setting, least.seconds
        call.deadline = time.monotonic() + least.seconds
        limit = asyncio.timeout(least.seconds)
        try:
            async with limit:
                return await serve()
        except TimeoutError as error:
            if not limit.expired():
                raise  # a narrower limit further in, not this one
            raise least.passed("the call") from error


class Identify:
    """The token has to be good when the call begins. How long the call may take is for its deadline to say: a token is
    shorter than an upload, or than following a run."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def around(self, call: Call, serve: Serve[T]) -> T:
        token = call.metadata.get(IDENTITY_KEY)
        if not token:
            raise Unauthenticated("this service is called through the gateway: the identity token is missing")
        call.identity = self._verifier.verify(token)
        call.token = token
        return await serve()


def _own_limit(failed: DomainError, call: Call) -> DomainError:
    """What came of a call's own deadline, with the figure that its caller gave: a service behind this one knows what
    was left of it, and who watches the time from within, nothing at all."""
    named = failed.details.get("limit")
    own = isinstance(failed, DeadlineExceeded) if named is None else named == call.limit
    if failed.reason != DeadlineExceeded.reason or not (own and call.limit):
        return failed
    told = TimeLimit(call.limit_seconds, call.limit).passed("the call")
    return failed if failed.details.get("limit_seconds") == told.details["limit_seconds"] else told


def _domain_error(error: Exception, call: Call) -> DomainError:
    if isinstance(error, DomainError):
        return error
    if isinstance(error, grpc.aio.AioRpcError):
        return statuses.from_rpc_error(error)
    error_id = uuid.uuid4().hex[:12]
    log.error("unexpected error", exc_info=error, extra={"error_id": error_id, "method": call.method})
    return DomainError(f"internal error {error_id}", error_id=error_id)
