"""Portkey's gateway as it comes: it knows neither keys of its own nor limits, budgets or records.

Its streamed answers are left out: this version ends them with an error of its own (500, "immutable") under Node 20.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.gateway.probe import wait_for
from bench.gateway.upstream import Upstream
from bench.kit.children import stop
from bench.peers.place import installed, place
from infra.local.ports import HOST, PortBook

VERSION = "1.15.2"
PACKAGE = "@portkey-ai/gateway"


@contextmanager
def serving(upstream: Upstream, say: Callable[[str], None]) -> Iterator[tuple[str, dict[str, str]]]:
    """Its URL and the headers for it. Raises BenchError where it does not start."""
    commands = [["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", f"{PACKAGE}@{VERSION}"]]
    home = installed(place("portkey", VERSION), commands, say)
    with closing(PortBook()) as book, tempfile.TemporaryDirectory(prefix="headworks-bench-") as folder:
        port, log = book.take(), Path(folder) / "portkey.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["node", home / "node_modules" / PACKAGE / "build" / "start-server.js", f"--port={port}", "--headless"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, "NODE_ENV": "production"},
            )  # fmt: skip
        try:
            wait_for(process, f"http://{HOST}:{port}/", log, "Portkey's gateway")
            headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream.base}
            yield f"http://{HOST}:{port}", {**headers, "authorization": "Bearer sk-upstream"}
        finally:
            stop(process)
