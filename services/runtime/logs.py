"""Logs as JSON lines on standard error, each with the service, the request and the trace it belongs to.

No field holds what people or models wrote, or a secret: see redaction.py.
"""

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from traceback import TracebackException
from types import TracebackType

import orjson

from services.runtime import tracing
from services.runtime.call import current_or_none
from services.runtime.redaction import redact, redact_field, redact_message

log = logging.getLogger(__name__)

# Below warnings these tell what goes through them: statements with their values, addresses with their queries.
TALKATIVE = ("aiosqlite", "httpcore", "httpx", "httpcore2", "httpx2", "mcp", "sqlalchemy")
# What these say of a caller's mistake has what the caller sent in it. The caller is told, and the call is in the log.
SILENT = ("a2a",)
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object a record; the `extra` of a log call becomes further fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        trace_id, span_id = tracing.ids()
        call = current_or_none()
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if call is not None:
            fields["request_id"] = redact(call.request_id)
        if trace_id:
            fields |= {"trace_id": trace_id, "span_id": span_id}
        for key, value in record.__dict__.items():
            if key not in _STANDARD:
                fields[key] = redact_field(key, value)
        if record.exc_info:
            fields["exception"] = _traceback(record.exc_info[1])
        try:
            return orjson.dumps(fields, default=str).decode()
        except TypeError:  # half a surrogate pair, as in a file name that is not UTF-8, or a very large number
            return json.dumps(fields, default=str)


def _traceback(error: BaseException | None) -> str:
    """The traceback of an error and of those behind it, with messages that may be shown."""
    if error is None:
        return ""
    told = TracebackException.from_exception(error)
    left = [told]
    while left:
        each = left.pop()
        each._str = redact_message(each._str)  # type: ignore[attr-defined]  # what it will print as the message
        each.__notes__ = None
        left += [other for other in (each.__cause__, each.__context__, *(each.exceptions or ())) if other is not None]
    return redact("".join(told.format()).rstrip())


def configure(service: str, level: str) -> None:
    """Send this process's logs to standard error at `level`, with warnings and what nobody catches among them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)
    for library in SILENT:
        logging.getLogger(library).setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
    # No line has them, and to find them takes a third of its time.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    log.critical("nobody caught an error", exc_info=(kind, error, traceback))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:  # of SystemExit there is nothing to say
        name = args.thread.name if args.thread else ""
        log.error(
            "nobody caught an error in a thread",
            extra={"thread_name": name},
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
