"""The model plane's settings, HEADWORKS_LLM_…: the gateway and the orchestrator read the same."""

import os
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import Field

from services.runtime.settings import Settings


class LlmSettings(Settings):
    service: ClassVar[str] = "llm"

    models_file: Path | None = Field(
        None,
        description="YAML file of the model catalogue; without one there are the mesh's own models.",
    )
    redis_url: str = Field(
        "",
        repr=False,
        pattern="^((redis|rediss|unix)://.+)?$",
        description="Redis by which processes tell one another of models that fail: redis://<host>:6379; each by "
        "itself if empty. The gateway takes its own Redis where this is empty.",
    )
    connections: int = Field(
        1024,
        gt=0,
        description="Most connections of a process to all upstreams together; further calls wait for one.",
    )
    difficulty_embed_seconds: float = Field(
        0.2,
        gt=0,
        description="Longest time that the embedder may take for a question whose difficulty a route judges; beyond "
        "that the heuristic judges.",
    )


def secret(variable: str) -> str | None:
    """A key that the environment holds under a name of the user's choice; None where it does not."""
    return os.environ.get(variable) or None


def proxy_of(url: str) -> str:
    """The HTTP proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY and the like); empty for none."""
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return proxy if proxy.startswith(("http://", "https://")) else ""
