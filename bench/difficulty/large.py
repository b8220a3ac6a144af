"""The large model: a script that knows the reference of each question, and errs on a known share of them."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.local.ports import HOST

ERRS = 0.05
WRONG = "I do not know."


def errs(question: str) -> bool:
    """The same for a question each time."""
    drawn = hashlib.blake2b(f"large\0{question}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn, "big") / 2**64 < ERRS


@contextmanager
def serving(answers: Mapping[str, str]) -> Iterator[str]:
    """Its base URL, with OpenAI's API. `answers` by question."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            question = body["messages"][-1]["content"]
            said = WRONG if errs(question) else answers.get(question, WRONG)
            read = sum(len(one["content"]) for one in body["messages"]) // 4 + 1
            usage = {"prompt_tokens": read, "completion_tokens": len(said) // 4 + 1}
            usage["total_tokens"] = sum(usage.values())
            whole, data = not body.get("stream"), b""
            if whole:
                data = json.dumps(_chunk({"message": {"role": "assistant", "content": said}}, usage, "stop")).encode()
            else:
                chunks = [
                    _chunk({"delta": {"role": "assistant", "content": said}}), _chunk({"delta": {}}, None, "stop"),
                    {**_chunk({"delta": {}}, usage), "choices": []},
                ]  # fmt: skip
                data = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"
            self.send_response(200)
            self.send_header("content-type", "application/json" if whole else "text/event-stream")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def _chunk(choice: dict[str, Any], usage: Any = None, finish: str | None = None) -> dict[str, Any]:
    kind = "chat.completion" if "message" in choice else "chat.completion.chunk"
    chunk = {"id": "c", "object": kind, "created": 1, "model": "large",
             "choices": [{"index": 0, "finish_reason": finish, **choice}]}  # fmt: skip
    return {**chunk, "usage": usage} if usage else chunk
