"""The upstream that gateways are measured before: an Envoy that answers all chat completions with the same bytes."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench.gateway.probe import wait_for
from bench.kit.children import stop
from infra.envoy.launch import envoy_argv
from infra.local.ports import HOST, PortBook

CHUNKS = 64
MODEL, STREAM_MODEL = "canned", "canned-stream"
PATH = "/v1/chat/completions"
MOST_BYTES = 1 << 20
TYPE = "type.googleapis.com/envoy.extensions.filters"
PROSE = (
    "The headworks of a canal take in the flow of the river, hold back what it carries, regulate how much goes on, and "
    "send it down the right channel; without them a flood would go through the fields, and a dry month would leave "
    "them bare."
)
USAGE = {"prompt_tokens": 31, "completion_tokens": CHUNKS, "total_tokens": 31 + CHUNKS}
PIECES = [f"{word} " for word in islice(cycle(PROSE.split()), CHUNKS)]
TEXT = "".join(PIECES)
_HEAD = {"id": "chatcmpl-canned", "created": 1_700_000_000, "model": "canned-2026", "system_fingerprint": "fp_canned"}


@dataclass(frozen=True, slots=True)
class Upstream:
    """A running one: the base URLs of its two models, of which one answers whole and one in a stream."""

    base: str
    stream_base: str


def completion() -> bytes:
    """The answer whole."""
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json({**_HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})


def events() -> bytes:
    """The same answer as server-sent events: CHUNKS with text."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in PIECES), {}]
    chunks = [_chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]) for delta in deltas[:-1]]
    chunks.append(_chunk([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]))
    chunks.append(_chunk([], usage=USAGE))
    return b"".join(b"data: %s\n\n" % chunk for chunk in (*chunks, b"[DONE]"))


@contextmanager
def serving() -> Iterator[Upstream]:
    """A new one, stopped at the end. Raises BenchError where it does not start."""
    with closing(PortBook()) as book, tempfile.TemporaryDirectory(prefix="headworks-bench-") as folder:
        port = book.take()
        bootstrap, log = Path(folder) / "envoy.json", Path(folder) / "envoy.log"
        bootstrap.write_text(json.dumps(_bootstrap(port)), "utf-8")
        with log.open("wb") as out:
            process = subprocess.Popen(envoy_argv(bootstrap), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            wait_for(process, f"http://{HOST}:{port}{PATH}", log, "the canned upstream")
            yield Upstream(f"http://{HOST}:{port}/v1", f"http://{HOST}:{port}/stream/v1")
        finally:
            stop(process)


def _bootstrap(port: int) -> dict[str, Any]:
    routes = [_route(PATH, completion(), "application/json"), _route(f"/stream{PATH}", events(), "text/event-stream")]
    manager = {
        "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "canned",
        "route_config": {
            "max_direct_response_body_size_bytes": MOST_BYTES,
            "virtual_hosts": [{"name": "canned", "domains": ["*"], "routes": routes}],
        },
        # Without the first, Envoy answers before the body has come, and closes the connection for it.
        "http_filters": [
            _filter("buffer", "buffer.v3.Buffer", max_request_bytes=MOST_BYTES), _filter("router", "router.v3.Router")
        ],
    }  # fmt: skip
    listener = {
        "address": {"socket_address": {"address": HOST, "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener]}}


def _route(path: str, body: bytes, kind: str) -> dict[str, Any]:
    header = {"header": {"key": "content-type", "value": kind}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
    return {
        "match": {"path": path},
        "direct_response": {"status": 200, "body": {"inline_string": body.decode()}},
        "response_headers_to_add": [header],
    }


def _filter(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{TYPE}.http.{kind}", **fields}}


def _chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
    return _json({**_HEAD, "object": "chat.completion.chunk", "choices": choices, "usage": usage})


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
