"""Envoy's access log, and what of a caller's own words it may hold: nothing after the path's "?", and nothing that is
not in the form of what it is to be.

The forms are expressions of CEL, which Envoy evaluates; its regular expressions are RE2's, of 100 steps at most.
"""

from envoy.extensions.access_loggers.stream.v3 import stream_pb2

from services.control.resources.wire import Data, typed

REQUEST_ID = "x-request-id"
LONGEST_ID = 128
LONGEST_PATH = 256
LONGEST_AGENT = 64
# How keys and tokens begin, and where: "task-1" is none. A regular expression costs Envoy 4 us each time, so it is
# asked only where a text says that there may be something.
_BEGINNINGS = ("hw_", "sk-", "eyJ", "AKIA", "ASIA", "gh", "xox", "glpat")
_KEY = "(^|[^A-Za-z0-9])(hw_|sk-|eyJ|A[KS]IA[A-Z0-9]|gh[pousr]_|github_pat|xox[abpr]-|glpat-)"
_ID = "^[A-Za-z0-9._:/+=-]+$"
_PATH = "^/[A-Za-z0-9._~:/-]*$"
# A product and its version, with another number behind it: "OpenAI/Python 1.63.0".
_AGENT = "^([A-Za-z][A-Za-z0-9.-]*/[A-Za-z0-9.-]+(?: [0-9][0-9.]*)?)"


def _header(name: str) -> str:
    return f"request.headers['{name}']"


def _secret(value: str) -> str:
    """Whether a value holds what looks like a key or a token."""
    perhaps = " || ".join(f"{value}.contains('{beginning}')" for beginning in _BEGINNINGS)
    return f"(({perhaps}) && {value}.matches('{_KEY}'))"


def _of_form(value: str, form: str, longest: int, instead: str) -> str:
    """The value where it is short, of the form, and no key or token."""
    plain = f"size({value}) <= {longest} && !{_secret(value)} && {value}.matches('{form}')"
    return f"%CEL({plain} ? {value} : {instead})%"


def request_id() -> str:
    """The caller's x-request-id, where it is one that can be logged; empty otherwise."""
    return _of_form(_header(REQUEST_ID), _ID, LONGEST_ID, "''")


def _path() -> str:
    """Without its query; nothing of one in another form."""
    return _of_form("request.url_path", _PATH, LONGEST_PATH, "'[redacted]'")


def _agent() -> str:
    """The first product of the user-agent."""
    agent = _header("user-agent")
    return f"%CEL({_secret(agent)} ? '' : re.extract({agent}, '{_AGENT}', '\\\\1')):{LONGEST_AGENT}%"


def access_log() -> Data:
    """Lines of JSON on standard output. The id is the one that the caller was told; grpc_status what it received."""
    line: Data = {
        "time": "%START_TIME%",
        "request_id": f"%RESP({REQUEST_ID})%",
        "method": "%REQ(:METHOD):16%",
        "path": _path(),
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "grpc_status": "%GRPC_STATUS_NUMBER%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "ms": "%DURATION%",
        "first_byte_ms": "%RESPONSE_DURATION%",
        "upstream_host": "%UPSTREAM_HOST%",
        "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "user_agent": _agent(),
    }
    return typed(stream_pb2.StdoutAccessLog, log_format={"json_format": line})
