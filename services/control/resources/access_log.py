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
# How keys and tokens begin, and where: "task-1" is none.
_KEY = "(hw_|sk-|eyJ|A[KS]IA[A-Z0-9]|gh[pousr]_|github_pat|xox[abpr]-|glpat-)"
_BEGINNINGS = ("hw_", "sk-", "eyJ", "AKIA", "ASIA", "gh", "xox", "glpat")
_ID = "[A-Za-z0-9._:/+=-]"
_PATH = "/[A-Za-z0-9._~:/-]*"
# A product and its version, with another number behind it: "OpenAI/Python 1.63.0". No key begins with three letters.
_AGENT = "^((?:[A-Za-z][A-Za-z][A-Za-z]|Go-)[A-Za-z0-9.-]*/[A-Za-z0-9.-]+(?: [0-9][0-9.]*)?)"


def request_id(of: str = "request") -> str:
    """The x-request-id of the request or the response, where it is one that can be logged; empty otherwise."""
    return _of_form(f"{of}.headers['{REQUEST_ID}']", f"{_ID}+", LONGEST_ID, "''")


def path() -> str:
    """The path without its query, where it is one that can be logged. For traces; lines of the log are told apart by
    `access_logs`, which costs less."""
    return _of_form("request.url_path", _PATH, LONGEST_PATH, "'[redacted]'")


def agent() -> str:
    """The first product of the user-agent. For traces too: to find it costs Envoy 20 us."""
    return f"%CEL(re.extract(request.headers['user-agent'], '{_AGENT}', '\\\\1')):{LONGEST_AGENT}%"


def _of_form(value: str, form: str, longest: int, instead: str) -> str:
    """The value where it is of this form, short, and holds no key."""
    perhaps = " || ".join(f"{value}.contains('{beginning}')" for beginning in _BEGINNINGS)
    key = f"(({perhaps}) && {value}.matches('(^|[^A-Za-z0-9]){_KEY}'))"
    return f"%CEL(size({value}) <= {longest} && !{key} && {value}.matches('^{form}$') ? {value} : {instead})%"


def access_logs() -> list[Data]:
    """Lines of JSON on standard output: those of plain paths and ids; and those of others, whose paths are left out. An
    id can be another only where Envoy refuses a request before it looks at it."""
    checks = [
        (":path", f"{_PATH}([?].*)?", False), (":path", f"[^?]*[^A-Za-z0-9?]{_KEY}.*", True),
        (REQUEST_ID, f"{_ID}*", False),
    ]  # fmt: skip
    plain = {"and_filter": {"filters": [_is(name, form, invert=invert) for name, form, invert in checks]}}
    other = {"or_filter": {"filters": [_is(name, form, invert=not invert) for name, form, invert in checks]}}
    plain_path, told = f"%PATH(NQ:PATH):{LONGEST_PATH}%", f"%RESP({REQUEST_ID}):{LONGEST_ID}%"
    return [
        {"name": "stdout", "filter": plain, "typed_config": _lines(plain_path, told)},
        {"name": "stdout", "filter": other, "typed_config": _lines("[redacted]", request_id("response"))},
    ]


def _is(header: str, form: str, *, invert: bool) -> Data:
    """The header is of this form; or is not."""
    match = {"name": header, "string_match": {"safe_regex": {"regex": form}}, "treat_missing_header_as_empty": True}
    return {"header_filter": {"header": {**match, "invert_match": invert}}}


def _lines(path: str, told: str) -> Data:
    """The id is the one that the caller was told; grpc_status what it received. The user-agent is free text."""
    line: Data = {
        "time": "%START_TIME%",
        "level": "info",
        "service": "envoy",
        "logger": "access",
        "request_id": told,
        "method": "%REQ(:METHOD):16%",
        "path": path,
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
    }
    return typed(stream_pb2.StdoutAccessLog, log_format={"json_format": line})
