"""LiteLLM's proxy, with a key that has a rate limit and a budget.

Its own keys live in PostgreSQL behind Prisma, whose engine comes from its maker's server at the first start; so the key
comes from its hook for authentication, and the proxy checks the key's limits and budget as it does for any other, in
memory. That spares it the database: it is the faster for it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import yaml

from bench.gateway.probe import wait_for
from bench.gateway.upstream import MODEL, STREAM_MODEL, Upstream
from bench.kit.children import stop
from bench.peers.place import installed, place
from infra.local.ports import HOST, PortBook

VERSION = "1.106.2"
WORKERS = 2
KEY = "sk-bench"
HOOK = """\
from litellm.proxy._types import UserAPIKeyAuth, hash_token


async def check(request, api_key):
    if api_key != "{key}":
        raise ValueError("there is no such key")
    return UserAPIKeyAuth(
        api_key=api_key, token=hash_token(api_key), rpm_limit=100_000_000, tpm_limit=10_000_000_000,
        max_parallel_requests=1000, max_budget=1_000_000.0, spend=0.0,
    )
"""


def serving(upstream: Upstream, say: Callable[[str], None]) -> AbstractContextManager[tuple[str, dict[str, str]]]:
    """Its URL and the headers for it. Raises BenchError where it does not start."""
    return running([deployment(MODEL, upstream.base), deployment(STREAM_MODEL, upstream.stream_base)], say)


@contextmanager
def running(
    models: Sequence[Mapping[str, object]], say: Callable[[str], None], router: Mapping[str, object] | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """The same of these models, with settings of its `router`."""
    home = installed(place("litellm", VERSION), _commands(), say)
    with closing(PortBook()) as book, tempfile.TemporaryDirectory(prefix="headworks-bench-") as name:
        folder, port = Path(name), book.take()
        (folder / "config.yaml").write_text(yaml.safe_dump(_config(models, router or {})), "utf-8")
        (folder / "key.py").write_text(HOOK.format(key=KEY), "utf-8")
        log = folder / "litellm.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [home / "venv" / "bin" / "litellm", "--config", folder / "config.yaml", "--host", HOST, "--port",
                 str(port), "--num_workers", str(WORKERS)],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
            )  # fmt: skip
        try:
            wait_for(process, f"http://{HOST}:{port}/health/liveliness", log, "LiteLLM")
            yield f"http://{HOST}:{port}", {"authorization": f"Bearer {KEY}"}
        finally:
            stop(process)


def _commands() -> list[list[str]]:
    return [
        [sys.executable, "-m", "venv", "venv"],
        ["venv/bin/python", "-m", "pip", "install", "-q", f"litellm[proxy]=={VERSION}"],
    ]


def _config(models: Sequence[Mapping[str, object]], router: Mapping[str, object]) -> dict[str, object]:
    return {
        "model_list": list(models),
        "router_settings": dict(router),
        "litellm_settings": {"enable_post_custom_auth_checks": True, "telemetry": False},
        "general_settings": {
            "master_key": "sk-master", "custom_auth": "key.check", "custom_auth_run_common_checks": True
        },
    }  # fmt: skip


def deployment(name: str, base: str) -> dict[str, object]:
    costs = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    return {
        "model_name": name,
        "litellm_params": {"model": f"openai/{MODEL}", "api_base": base, "api_key": "sk-upstream", **costs},
    }
