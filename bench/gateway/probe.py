"""Single requests to what is measured: to wait for it, to set it up, and to see that it answers what it should."""

import http.client
import json
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.kit import BenchError
from bench.kit.children import end

READY_SECONDS = 300.0
ASK_SECONDS = 30.0
OK = 200


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """What is asked: where, with which headers, and the body."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(target: HttpTarget, method: str = "POST") -> tuple[int, bytes]:
    """The status and the body of the answer. Raises OSError, HTTPException."""
    parts = urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASK_SECONDS)
    try:
        headers = {"content-type": "application/json", **target.headers}
        connection.request(method, parts.path, target.body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def json_of(url: str, key: str, value: Any, method: str = "POST") -> Any:
    """What is answered to a JSON body. Raises BenchError for anything but success."""
    status, body = ask(HttpTarget(url, json.dumps(value).encode(), {"authorization": f"Bearer {key}"}), method)
    if status != OK:
        raise BenchError(f"{method} {url} got {status}: {body[:600].decode(errors='replace')}")
    return json.loads(body)


def expect(name: str, target: HttpTarget, text: str) -> None:
    """Raises BenchError unless the completion, whole or streamed, says `text`."""
    status, body = ask(target)
    if status != OK:
        raise BenchError(f"{name} answered {status}: {body[:600].decode(errors='replace')}")
    said = _said(body)
    if said != text:
        raise BenchError(f"{name} says {said[:200]!r} and not {text[:200]!r}")


def wait_for(process: "subprocess.Popen[bytes]", url: str, log: Path, name: str) -> None:
    """Until something answers at `url`, whatever it says. Raises BenchError where the process does not get there."""
    until = time.monotonic() + READY_SECONDS
    while not _answers(url):
        if process.poll() is not None:
            raise BenchError(f"{name} ended with {process.returncode}; it said:\n{end(log)}")
        if time.monotonic() > until:
            raise BenchError(f"{name} was not ready after {READY_SECONDS:g} s; it said:\n{end(log)}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        ask(HttpTarget(url, b""), "GET")
    except (OSError, http.client.HTTPException):
        return False
    return True


def _said(body: bytes) -> str:
    if not body.startswith(b"data:"):
        return str(json.loads(body)["choices"][0]["message"]["content"])
    events = [line[5:].strip() for line in body.split(b"\n") if line.startswith(b"data:")]
    choices = [choice for event in events if event != b"[DONE]" for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
