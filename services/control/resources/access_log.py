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
# The beginnings of keys and tokens, in lower case and capitals alike.
_SECRETS = "(?i)(hw_|sk-|eyj|akia|asia|gh[pousr]_|github_pat|xox[abpr]-|glpat)"
_ID = "^[A-Za-z0-9._:/+=-]+$"
_PATH = "^/[A-Za-z0-9._~:/-]*$"
# A product and its version, with another number behind it: "OpenAI/Python 1.63.0".
_AGENT = "^([A-Za-z][A-Za-z0-9.-]*/[A-Za-z0-9.-]+(?: [0-9][0-9.]*)?)"


def _header(name: str) -> str:
    return f"request.headers['{name}']"


def _written(value: str, form: str, longest: int) -> str:
    """Whether a value is of the form, short, and no key or token."""
    return f"size({value}) <= {longest} && {value}.matches('{form}') && !{value}.matches('{_SECRETS}')"


def _of_form(value: str, form: str, longest: int, instead: str) -> str:
    return f"%CEL({_written(value, form, longest)} ? {value} : {instead})%"


def request_id() -> str:
    """The caller's x-request-id, where it is one that can be logged; empty otherwise."""
    return _of_form(_header(REQUEST_ID), _ID, LONGEST_ID, "''")


def _path() -> str:
    """Without its query; nothing of one in another form."""
    return _of_form("request.url_path", _PATH, LONGEST_PATH, "'[redacted]'")


def _agent() -> str:
    """The first product of the user-agent."""
    agent = _header("user-agent")
    product = f"re.extract({agent}, '{_AGENT}', '\\\\1')"
    return f"%CEL({agent}.matches('{_AGENT}') && !{agent}.matches('{_SECRETS}') ? {product} : ''):{LONGEST_AGENT}%"


def access_log() -> Data:
    """Lines of JSON on standard output. The id is the one that the caller was told; grpc_status what it received."""
    line: Data = {
        "time": "%START_TIME%",
        "level": "info",
        "service": "envoy",
        "logger": "access",
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
