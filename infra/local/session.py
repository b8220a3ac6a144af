"""From options to a mesh that is ready: the one way in, for `up` and for `demo`."""

import dataclasses
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from infra.local import metrics, models, ports, state, tls
from infra.local.dial import Dial
from infra.local.guards import check_guards
from infra.local.keys import make_keys
from infra.local.layout import Layout
from infra.local.limits import PROCESS_LIMITS, raise_files
from infra.local.lock import DirectoryLock, Locked
from infra.local.mesh import given_ports, mesh_specs
from infra.local.options import BadOptions, Options
from infra.local.ports import HOST, PortBook
from infra.local.state import MeshState
from infra.local.supervisor import Limits, Supervisor
from services.runtime import data_format
from services.runtime.errors import CannotStart
from services.runtime.file_faults import fault
from services.runtime.sockets import PRIVATE, holds_sockets, private_folder

DEFAULT_LIMITS = Limits()


class Refused(Exception):
    """The mesh was not started; the message says why and what to do."""


@asynccontextmanager
async def mesh(
    options: Options, observe: Callable[[MeshState], None], limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[Supervisor]:
    """A supervisor for the mesh that `options` describe, entered but not yet started. Raises Refused.

    Meanwhile what this process writes is its owner's alone.
    """
    usual = os.umask(PRIVATE)
    try:
        async with _mesh(options, observe, limits) as supervisor:
            yield supervisor
    finally:
        os.umask(usual)


@asynccontextmanager
async def _mesh(options: Options, observe: Callable[[MeshState], None], limits: Limits) -> AsyncIterator[Supervisor]:
    if too_few := raise_files():
        raise Refused(too_few)
    try:
        options = models.with_llm(options)
        models.check_embedders(options)
        models.check_rerank(options)
        models.check_device(options)
        models.check_catalogue(options)
        models.check_tools(options)
        check_guards(options)
    except BadOptions as error:
        raise Refused(str(error)) from error
    layout = Layout(options.data)
    lock = DirectoryLock(layout.lock)
    book = PortBook()
    try:
        if known := layout.lock.exists():  # a mesh may run there, which is the better reason to refuse
            layout = prepared(layout, lock, options)
        claim_ports(book, options)
        if not known:
            layout = prepared(layout, lock, options)
        key = make_keys(layout)
        (layout.of("control") / "topology.json").unlink(missing_ok=True)
        specs = mesh_specs(options, layout, key)
        edge = f"{'https' if options.tls else 'http'}://{HOST}:{options.edge_port}"
        port = book.take()
        async with Supervisor(layout, specs, edge, Path.cwd(), observe=observe,
                              limits=models.start_limits(options, limits),
                              keep_open=(lock.fd,), book=book, ca=tls.ca(options), metrics=port,
                              dial=Dial(tls.supervisor_files(options))) as supervisor:  # fmt: skip
            with metrics.served(port, lambda: supervisor.processes, layout.root, tls.certificates(options)):
                yield supervisor
    finally:
        book.close()
        lock.release()


def prepared(layout: Layout, lock: DirectoryLock, options: Options) -> Layout:
    """The data directory, made or taken for this mesh, with the lock on it. Raises Refused."""
    try:
        check_format(layout)
        layout.make()
        if (foreign := layout.foreign()) is not None:
            raise Refused(
                f"{foreign} belongs to another user, who could change it: choose another directory with --data"
            )
        take(lock, layout)
        check_format(layout)
        data_format.mark(layout.root)
        layout = with_sockets(layout)
        tls.check(options, layout)
    except BadOptions as error:
        raise Refused(str(error)) from error
    except OSError as error:
        if error.errno in PROCESS_LIMITS:
            raise
        raise Refused(
            f"{layout.root} cannot be the data directory: {fault(error)}; choose another with --data"
        ) from error
    return layout


def check_format(layout: Layout) -> None:
    """Raises Refused for data that a newer version wrote; OSError."""
    try:
        data_format.check(data_format.read(layout.root), str(layout.root))
    except CannotStart as error:
        raise Refused(str(error)) from error


def take(lock: DirectoryLock, layout: Layout) -> None:
    """Take the data directory's lock. Raises Refused, naming the mesh that has it."""
    try:
        lock.take()
        layout.state.unlink(missing_ok=True)  # what a mesh that crashed left of itself
    except Locked:
        now = state.read(layout.state)
        which = f" (process {now.pid}, edge {now.edge})" if now else ""
        raise Refused(
            f"a mesh is already running on {layout.root}{which}: use it, stop it with Ctrl-C"
            + (f" or `kill {now.pid}`" if now else "")
            + ", or choose another directory with --data and another port with --edge-port"
        ) from None


def with_sockets(layout: Layout) -> Layout:
    """The layout with a folder that can hold sockets: a path may be too long, or on a file system without them. What
    is made elsewhere goes when the mesh ends. Raises OSError."""
    return layout if holds_sockets(layout.sockets) else dataclasses.replace(layout, run=private_folder())


def claim_ports(book: PortBook, options: Options) -> None:
    """All that are not picked. Raises Refused where another program has one of them."""
    claim_edge_port(book, options.edge_port)
    for port, setting in given_ports(options).items():
        if not book.claim(port) or not ports.is_free(port):
            raise Refused(f"port {port}, which is set by {setting}, is taken by another program: choose another one")


def claim_edge_port(book: PortBook, port: int) -> None:
    """Raises Refused where another program listens at the port, or another mesh is about to."""
    if not book.claim(port) or not ports.is_free(port):
        raise Refused(f"port {port} is taken by another program: choose another one with --edge-port")
