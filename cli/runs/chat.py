"""A question over the OpenAI face, as any HTTP client would ask it."""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cli.edge import Edge
from cli.errors import CliError
from cli.runs.answers import with_gateway

LIMIT = 60.0


@dataclass
class ChatAnswer:
    """A streamed chat completion, put together. Times are in milliseconds."""

    run_id: str = ""
    text: str = ""
    citations: list[dict[str, Any]] = field(default_factory=list)
    timings_ms: dict[str, float] = field(default_factory=dict)

    def take(self, chunk: dict[str, Any]) -> str:
        """Take a chunk in; returns the text that it added. Raises CliError for an error in the stream."""
        if "error" in chunk:
            raise CliError(f"the answer broke off: {chunk['error'].get('message')}")
        extension = chunk.get("headworks") or {}
        self.run_id = extension.get("run_id", self.run_id)
        self.timings_ms = extension.get("timings_ms", self.timings_ms)
        added = ""
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta") or {}
            added += delta.get("content") or ""
            self.citations += [annotation["url_citation"] for annotation in delta.get("annotations") or ()]
        self.text += added
        return added

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "answer": self.text,
            "citations": self.citations,
            "timings_ms": self.timings_ms,
        }


def ask_over_http(edge: Edge, question: str, collection: str, emit: Callable[[str], None]) -> ChatAnswer:
    """Ask with stream: true, passing each piece of text to `emit`. Raises CliError, or OSError where nobody answers."""
    body = {
        "model": "rag",
        "stream": True,
        "messages": [{"role": "user", "content": question}],
        "metadata": {"collection": collection},
    }
    headers = {"authorization": f"Bearer {edge.key}", "content-type": "application/json"}
    answer, started, first = ChatAnswer(), time.monotonic(), 0.0
    connection = _connection(edge)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise CliError(f"the edge answered {response.status}: {_message(response.read())}")
        for chunk in events(response):
            text = answer.take(chunk)
            if text:
                first = first or time.monotonic()
                emit(text)
    except http.client.HTTPException as error:
        raise CliError(f"the answer broke off: {error!r}") from error
    finally:
        connection.close()
    client = (time.monotonic() - started) * 1000
    gateway = f"gateway;dur={answer.timings_ms.get('gateway', client)}"
    answer.timings_ms = with_gateway({"client": round(client, 2), **answer.timings_ms}, gateway)
    if first:
        answer.timings_ms["first_text"] = round((first - started) * 1000, 2)
    return answer


def _connection(edge: Edge) -> http.client.HTTPConnection:
    if not edge.secure:
        return http.client.HTTPConnection(edge.target, timeout=LIMIT)
    context = ssl.create_default_context(cafile=edge.ca)
    return http.client.HTTPSConnection(edge.target, timeout=LIMIT, context=context)


def events(lines: Any) -> Iterator[dict[str, Any]]:
    """The data of each server-sent event, until [DONE]."""
    for line in lines:
        name, _, value = line.decode("utf-8").rstrip("\r\n").partition(":")
        if name != "data":
            continue
        if value.strip() == "[DONE]":
            return
        yield json.loads(value)


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
