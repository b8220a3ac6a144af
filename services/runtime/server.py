"""Build a service's gRPC server, serve, and drain when stopped."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime import logs, metrics, proxies, sockets, tracing, vitals
from services.runtime.errors import CANNOT_START, CannotStart, DomainError
from services.runtime.exits import EXIT_SECONDS, exit_within
from services.runtime.health import Readiness
from services.runtime.identity import TokenVerifier
from services.runtime.interceptors import Callers, CallLayer, CertificateCheck, Chain, Gate, Pipeline, layers
from services.runtime.replicas import Check
from services.runtime.settings import ServerSettings, unknown_variables

log = logging.getLogger(__name__)

KEEPALIVE_FLOOR_MS = 10_000
# Of headers: more than the edge lets in, which is what callers are told of.
MAX_METADATA = 256 << 10
GC_THRESHOLD = 20_000


class Beside(Protocol):
    """A server of another protocol in the same process and event loop."""

    async def start(self, ready: Callable[[], bool], missing: Callable[[], Sequence[str]] = tuple) -> str:
        """Listen; `ready` says whether the process is, `missing` which dependencies are not well.

        Returns the address.
        """
        ...

    async def stop(self, grace: float) -> None:
        """Let the calls under way finish, for `grace` seconds, and close."""
        ...


@dataclass(frozen=True)
class App:
    """A service, wired: how its servicers are added, what they are called, what it needs to be ready, and what it can
    do without, in part; `vital`: what of the latter its callers cannot do without.

    `resources` is closed, in reverse order of entering, after the last call is over. `layers` replaces the usual
    interceptors, where a service needs others; `gate`, if there is one, sees the first request of every call. With
    mutual TLS only the `callers` may call. `sockets`: private Unix sockets that it is served at too. The process is
    ready once the servers `beside` gRPC's listen too. `data`: the folders that it keeps data in, by what that is.
    """

    add: Callable[[grpc.aio.Server], None]
    names: list[str]
    checks: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    vital: Collection[str] = ()
    resources: AsyncExitStack = field(default_factory=AsyncExitStack)
    layers: list[CallLayer] | None = None
    gate: Gate | None = None
    callers: Callers = field(default_factory=dict)
    beside: Sequence[Beside] = ()
    sockets: Sequence[Path] = ()
    data: Mapping[str, Path] = field(default_factory=dict)


@asynccontextmanager
async def opening() -> AsyncIterator[AsyncExitStack]:
    """The resources of an App that is wired meanwhile. Where that fails they are closed: what stays open has threads,
    and a process with threads does not end."""
    resources = AsyncExitStack()
    try:
        yield resources
    except BaseException:
        try:
            await resources.aclose()
        except Exception:
            log.exception("what was open could not be closed")
        raise


def build(settings: ServerSettings, app: App, readiness: Readiness, verifier: TokenVerifier | None) -> grpc.aio.Server:
    """The server with everything on it, not yet started and not yet bound."""
    around = (
        app.layers
        if app.layers is not None
        else layers(verifier, settings.max_deadline_seconds, settings.max_upload_seconds, settings.service)
    )
    checks = [CertificateCheck(app.callers)] if settings.tls and not settings.socket else []
    server = grpc.aio.server(
        interceptors=[*checks, Pipeline(Chain(around, app.gate))],
        maximum_concurrent_rpcs=settings.max_concurrent_rpcs,
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.so_reuseport", 0),
            ("grpc.max_metadata_size", MAX_METADATA),
            ("grpc.absolute_max_metadata_size", MAX_METADATA),
            ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_FLOOR_MS),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    app.add(server)
    health_pb2_grpc.add_HealthServicer_to_server(readiness.servicer, server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection([*app.names, health_name, reflection.SERVICE_NAME], server)
    return server


def bind(server: grpc.aio.Server, settings: ServerSettings) -> str:
    """The address that the server is bound to: a private Unix socket, or a port, with mutual TLS where the settings
    name certificates.

    Raises BadCertificates, and OSError where the address is taken.
    """
    if settings.socket:
        address = sockets.target(settings.socket)
        _bound(server.add_insecure_port, address)
        return address
    address = f"{settings.host}:{settings.port}"
    if settings.tls:
        return f"{settings.host}:{_bound(server.add_secure_port, address, settings.tls.server())}"
    return f"{settings.host}:{_bound(server.add_insecure_port, address)}"


def _bound(bind: Callable[..., int], address: str, *more: object) -> int:
    """The port that a server is bound to. gRPC has no error of its own for an address that it cannot have."""
    try:
        return bind(address, *more)
    except RuntimeError as error:
        raise OSError(f"{address} cannot be listened at: {error}") from error


async def serve(
    settings: ServerSettings, wire: Callable[[], Awaitable[App]], verifier: Callable[[], TokenVerifier] | None = None
) -> None:
    """Wire the service, serve until SIGTERM or SIGINT, drain, close. Raises CannotStart where a file, a setting, a port
    or a database keeps it from that."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    provider = tracing.configure(settings.service, settings.replica_name, settings.trace_export)
    with _starting():
        checked = verifier() if verifier else None
        app = await wire()
    _settle_memory()
    async with app.resources:
        readiness = Readiness(app.names, app.checks, app.optional, app.vital)
        server = build(settings, app, readiness, checked)
        with _starting():
            address, besides = await _listen(server, settings, app, readiness)
        log.info("serving", extra={"address": address, "beside": besides, "replica": settings.replica_name})
        watch = asyncio.create_task(readiness.watch())
        try:
            await stop.wait()
        finally:
            log.info("draining", extra={"seconds": settings.drain_seconds})
            await readiness.drain()
            await asyncio.gather(
                server.stop(settings.drain_seconds), *(one.stop(settings.drain_seconds) for one in app.beside)
            )
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
    await asyncio.to_thread(provider.shutdown)
    log.info("stopped")


@contextmanager
def _starting() -> Iterator[None]:
    """Raises CannotStart for what an operator can set right: a file, a setting, a port, a database."""
    try:
        yield
    except (DomainError, OSError, ValueError) as error:
        log.debug("what kept it from starting", exc_info=error)
        raise CannotStart(str(error)) from error


async def _listen(
    server: grpc.aio.Server, settings: ServerSettings, app: App, readiness: Readiness
) -> tuple[str, list[str]]:
    """Start the servers, and show the metrics; the addresses of gRPC's and of those beside it. Where one of them cannot
    be started, none is. Raises OSError, BadCertificates."""
    try:
        with sockets.private() if settings.socket or app.sockets else nullcontext():
            address = bind(server, settings)
            for path in app.sockets:
                _bound(server.add_insecure_port, sockets.target(path))
            await server.start()
        besides = [await one.start(lambda: readiness.ready, readiness.missing) for one in app.beside]
        vitals.VITALS.data(app.data)
        vitals.VITALS.certificates(vitals.tls_certificates(settings.tls))
        vitals.READINESS.show(readiness)
        metrics.serve(settings.host, settings.metrics_port)
    except BaseException:
        await asyncio.gather(server.stop(0), *(one.stop(0) for one in app.beside))
        raise
    return address, besides


def verifier_of(settings: ServerSettings) -> TokenVerifier:
    """The verifier that the settings name. ValueError where they name none: a service never serves unchecked."""
    return TokenVerifier(identity_key_of(settings), settings.identity_leeway_seconds)


def identity_key_of(settings: ServerSettings) -> bytes:
    """PEM of the public key that identity tokens are checked with. ValueError where the settings name none."""
    if settings.identity_public_key is None:
        raise ValueError(
            f"set HEADWORKS_{settings.service.upper()}_IDENTITY_PUBLIC_KEY to the gateway's public key file"
        )
    return settings.identity_public_key.read_bytes()


def _settle_memory() -> None:
    """Take what was loaded at the start out of the garbage collector's sight and let it look less often: at Python's
    defaults it took an eighth of a busy service's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 50)


def run(settings: ServerSettings, main: Coroutine[Any, Any, None]) -> None:
    """Run a service's process to its end. One that cannot start says why in its log, and exits with 1."""
    logs.configure(settings.service, settings.log_level)
    for wrong in unknown_variables():
        log.warning(wrong)
    proxies.spare_control()
    sys.exit(uvloop.run(_to_its_end(main)))


async def _to_its_end(main: Coroutine[Any, Any, None]) -> int:
    """The exit code. What `main` has left in threads gets no more than some seconds."""
    code = 1
    try:
        await main
        code = 0
    except CannotStart as error:
        log.error("%s%s", CANNOT_START, error)  # noqa: TRY400 (the message says it all)
    finally:
        exit_within(EXIT_SECONDS, code)
    return code
