"""How to start tritonserver from its wheel, and how to know that it is ready. Watching it is somebody else's work."""

import ctypes
import math
import os
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.models.layout import (
    LLM,
    clear_shared_memory,
    lay_out_backend,
    lay_out_repository,
    python_version,
    shared_memory_prefix,
    site_packages,
)
from services.models.settings import CPU, ModelsSettings, further_embedders
from services.runtime import sockets
from services.runtime.reranker import RERANKER
from services.runtime.tls import TlsFiles

MODELS = ("embed", "embed_passages", "injection")
HOST = "127.0.0.1"
# For each further embedder: its weights are unpacked at the first start, and are larger than the others.
EMBEDDER_SECONDS = 60
# vLLM is to send nobody figures of its use.
LLM_ENV = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
LIBRARIES = "LD_LIBRARY_PATH"
PROJECT = Path(__file__).parents[2]
SOCKET = "triton"


class LibpythonNotFound(Exception):
    """Triton's Python stub could not start: it links the shared libpython."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where tritonserver listens: gRPC at a port of 127.0.0.1, or at a Unix socket in `folder`.

    Triton writes a colon and the port behind any address, so a number ends the socket's name: that of the `replica`.
    """

    grpc: int
    metrics: int
    folder: Path | None = None
    replica: int = 0

    @property
    def socket(self) -> Path | None:
        """The Unix socket; None where it is a port."""
        return socket_in(self.folder, self.replica) if self.folder else None

    @property
    def target(self) -> str:
        """The gRPC target."""
        return sockets.target(self.socket) if self.socket else f"{HOST}:{self.grpc}"


def socket_in(folder: Path, replica: int = 0) -> Path:
    """Where the Unix socket of that replica is, if it listens in `folder`."""
    return folder / f"{SOCKET}:{socket_number(replica)}"


def socket_number(replica: int) -> int:
    """What Triton takes for a port; 0 is none."""
    return replica + 1


@dataclass(frozen=True, slots=True)
class TritonCommand:
    """A process to start: arguments, and its whole environment."""

    argv: list[str]
    env: dict[str, str]


def prepare(
    data: Path,
    listen: Listen,
    settings: ModelsSettings,
    env: Mapping[str, str] | None = None,
    tls: TlsFiles | None = None,
    *,
    llm_alone: bool = False,
) -> TritonCommand:
    """Lays out DATA and returns how to start tritonserver on it.

    Raises TritonNotFound, LibpythonNotFound or CannotRerank. `env` (by default this process's) is passed on to Triton.
    `llm_alone`: it serves the language model and nothing else.
    With `tls` its gRPC is mutual TLS; Triton reads the files once. Its HTTP stays off: nothing here calls it.
    """
    check_libpython()
    shared_memory = shared_memory_prefix(data)
    clear_shared_memory(shared_memory)
    backends = lay_out_backend(data / "backends")
    repository = lay_out_repository(data / "repository", settings, llm_alone)
    argv = _argv(backends, repository, listen, shared_memory, settings) + (_tls_flags(tls) if tls else [])
    launched = [sys.executable, "-P", "-m", "services.models.launch", *argv]
    base = os.environ if env is None else env
    own = {
        **_env(base),
        **(_gpu_env(base) if settings.device != CPU else {}),
        **(_llm_env(settings) if settings.llm else {}),
    }
    return TritonCommand(launched, own)


def _argv(backends: Path, repository: Path, listen: Listen, shared_memory: str, settings: ModelsSettings) -> list[str]:
    address, port = HOST, listen.grpc
    if listen.folder:
        address, port = sockets.target(listen.folder / SOCKET), socket_number(listen.replica)
    flags = {
        "model-repository": repository,
        "backend-directory": backends,
        "grpc-address": address,
        "grpc-port": port,
        # Clients ask after a quiet connection every half minute; by default Triton hangs up on those who ask so often.
        "grpc-http2-min-recv-ping-interval-without-data": 5_000,
        "grpc-http2-max-ping-strikes": 0,
        "allow-http": "false",
        "metrics-address": HOST,
        "metrics-port": listen.metrics,
        "allow-gpu-metrics": "false",
        "strict-readiness": "true",
        "exit-on-error": "true",
        "exit-timeout-secs": 5,
        "pinned-memory-pool-byte-size": 0,
        "log-verbose": settings.log_verbose,
        "log-info": str(settings.log_verbose > 0).lower(),
    }
    python = {
        "shm-default-byte-size": 1 << 20,
        "shm-region-prefix-name": shared_memory,
        "stub-timeout-seconds": math.ceil(start_seconds(settings)),
    }
    # Completing a configuration would start each stub twice.
    binary = site_packages() / "pytriton/tritonserver/bin/tritonserver"
    return [
        str(binary),
        "--disable-auto-complete-config",
        *(f"--{name}={value}" for name, value in flags.items()),
        *(f"--backend-config=python,{name}={value}" for name, value in python.items()),
    ]


def _tls_flags(tls: TlsFiles) -> list[str]:
    return [
        "--grpc-use-ssl=true",
        "--grpc-use-ssl-mutual=true",
        f"--grpc-server-cert={tls.certificate}",
        f"--grpc-server-key={tls.private_key}",
        f"--grpc-root-cert={tls.ca}",
    ]


def _env(base: Mapping[str, str]) -> dict[str, str]:
    return {
        **base,
        "PYTHONPATH": os.pathsep.join([str(PROJECT), str(site_packages())]),
        LIBRARIES: _libraries(),
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MALLOC_ARENA_MAX": "2",
    }


def _libraries() -> str:
    return os.pathsep.join([str(site_packages() / "nvidia_pytriton.libs"), str(_libdir())])


def _gpu_env(base: Mapping[str, str]) -> dict[str, str]:
    """The caller's libraries behind Triton's own: in some containers the driver's are there and nowhere else."""
    return {LIBRARIES: os.pathsep.join(filter(None, [_libraries(), base.get(LIBRARIES)]))}


def _llm_env(settings: ModelsSettings) -> dict[str, str]:
    return {**LLM_ENV, "OMP_NUM_THREADS": str(llm_threads(settings))}


def llm_threads(settings: ModelsSettings) -> int:
    """That the language model computes with. A core is left to those who serve what it writes."""
    return settings.llm_threads or max(1, len(os.sched_getaffinity(0)) - 1)


def _libdir() -> Path:
    return Path(str(sysconfig.get_config_var("LIBDIR")))


def check_libpython() -> None:
    """Raises LibpythonNotFound, naming the Debian package, unless the dynamic linker can find the shared libpython."""
    version = python_version()
    name = f"libpython{version}.so.1.0"
    if (_libdir() / name).is_file():
        return
    try:
        ctypes.CDLL(name)
    except OSError as error:
        message = (
            f"{name} is missing: Triton cannot run Python models (on Debian and Ubuntu: apt install libpython{version})"
        )
        raise LibpythonNotFound(message) from error


def start_seconds(settings: ModelsSettings) -> float:
    """How long Triton may take to load the models."""
    embedders = len(further_embedders(settings)) * EMBEDDER_SECONDS
    return settings.start_seconds + embedders + (settings.llm_start_seconds if settings.llm else 0)


def start_setting(settings: ModelsSettings) -> str:
    """What sets that."""
    name = "HEADWORKS_MODELS_START_SECONDS"
    return f"{name} and HEADWORKS_MODELS_LLM_START_SECONDS together" if settings.llm else name


def models(settings: ModelsSettings) -> tuple[str, ...]:
    """The models that are served under these settings."""
    embedders = [model for spec in further_embedders(settings) for model in (spec.queries, spec.passages)]
    asked = [model for model, served in ((RERANKER, settings.reranker), (LLM, settings.llm)) if served]
    return (*MODELS, *embedders, *asked)
