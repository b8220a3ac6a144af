"""What `headworks up` was asked for, checked."""

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.runtime.settings import CONFIG_FILE_VARIABLE, prefix

LLM = "llm"
"""The language model in Triton: as many Tritons serve it."""
REPLICATED = ("gateway", "orchestrator", "retrieval", "triton", LLM)
ONCE = ("control", "envoy")
MOST_REPLICAS = 16
DEFAULT_EDGE_PORT = 8080


class BadOptions(ValueError):
    """The mesh that was asked for cannot be; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Options:
    """A mesh to start. `replicas` is by service, one where it says nothing; `env` what its processes inherit.

    `tls` is the folder of the mesh's certificates; None is a mesh without TLS.
    """

    data: Path
    edge_port: int = DEFAULT_EDGE_PORT
    replicas: Mapping[str, int] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tls: Path | None = None

    def count(self, service: str) -> int:
        return self.replicas.get(service, 1)

    def given(self, service: str, name: str) -> str | None:
        """The setting as the environment or the configuration file gives it; None where neither does."""
        found = self.env.get(prefix(service) + name.upper()) or self.tables.get(service, {}).get(name)
        return None if found is None else str(found)


def make_options(
    data: Path, edge_port: int | None, replicas: Mapping[str, int], config: Path | None, environ: Mapping[str, str],
    tls: Path | None = None,
) -> Options:  # fmt: skip
    """Raises BadOptions."""
    env = dict(environ)
    file = config or (Path(env[CONFIG_FILE_VARIABLE]) if env.get(CONFIG_FILE_VARIABLE) else None)
    tables: dict[str, Any] = {}
    if file is not None:
        tables = _read(file)
        env[CONFIG_FILE_VARIABLE] = str(file.absolute())
    options = Options(data.absolute(), 0, replicas, env, tables, tls.absolute() if tls else None)
    options = dataclasses.replace(options, edge_port=edge_port or _edge_port(options))
    if options.count("retrieval") > 1 and (options.given("retrieval", "store") or "edge") == "edge":
        raise BadOptions(
            "retrieval keeps its passages in an embedded store, which one process owns: more than one replica needs a "
            "server: HEADWORKS_RETRIEVAL_STORE=qdrant or pgvector, and its URL"
        )
    return options


def parse_replicas(text: str) -> dict[str, int]:
    """Read "orchestrator=2,gateway=2". Raises BadOptions."""
    replicas: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        service, _, count = (piece.strip() for piece in part.partition("="))
        if service in ONCE:
            raise BadOptions(f"{service} runs once in a local mesh; replicas are for {', '.join(REPLICATED)}")
        if service not in REPLICATED:
            raise BadOptions(f"there is no service {service!r}; replicas are for {', '.join(REPLICATED)}")
        if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= MOST_REPLICAS:
            raise BadOptions(f"{part!r}: write {service}=N with N from 1 to {MOST_REPLICAS}")
        if service in replicas:
            raise BadOptions(f"{service} is given twice")
        replicas[service] = int(count)
    return replicas


def _edge_port(options: Options) -> int:
    given = options.given("control", "edge_port")
    if given is None:
        return DEFAULT_EDGE_PORT
    if not given.isdigit() or not 1 <= int(given) <= 65535:
        raise BadOptions(f"{given!r} is not a port for the edge: give one from 1 to 65535")
    return int(given)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BadOptions(f"the configuration file {file} cannot be read: {os.strerror(error.errno or 0)}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadOptions(f"the configuration file {file} is not valid TOML: {error}") from error
