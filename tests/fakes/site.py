"""A web site on a free port of this machine, which notes what it was asked for."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """What is answered to a path."""

    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """`answers` by path with its query; any other is not found. With an ETag, If-None-Match is heeded."""

    port: int = 0
    answers: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def page(self, path: str, html: str, **headers: str) -> None:
        """A page of HTML; `etag` and the like are headers."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = Answer(html.encode(), headers=named)

    def took(self, path: str) -> int:
        """How often a path was asked for."""
        return self.asked.count(path)

    def answer(self, path: str, given: Mapping[str, str]) -> Answer:
        self.asked.append(path)
        self.headers.append(given)
        answer = self.answers.get(path, Answer(status=404))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        etag = answer.headers.get("etag")
        if etag and given.get("if-none-match") == etag:
            return Answer(status=304, headers={"etag": etag})
        return answer


@contextmanager
def serving_site() -> Iterator[Site]:
    """Serves a site while it lasts."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer = site.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(answer.status)
            headers = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.status != 304:
                self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
