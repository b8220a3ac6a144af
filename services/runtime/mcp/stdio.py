"""MCP over a child's standard input and output, with a bound on the length of a message.

The official package's own transport holds a line of any length in memory, and searches all of it again with each chunk.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage

from services.runtime.children import DiedAtStart, ending

MAX_LINE = 32 << 20  # a text often comes twice, as content and as structured content
# How long a server may take to go: after its input is closed, and again after SIGTERM.
PATIENCE = 2.0

Inbox: TypeAlias = MemoryObjectReceiveStream[SessionMessage | Exception]
Outbox: TypeAlias = MemoryObjectSendStream[SessionMessage]
log = logging.getLogger(__name__)


class ServerExited(Exception):
    """A server's command ended by itself; the message says which, and how."""

    def __init__(self, program: str, code: int) -> None:
        super().__init__(f"{program} {ending(code)}")


@asynccontextmanager
async def stdio(command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> AsyncIterator[tuple[Inbox, Outbox]]:
    """A server in a process group of its own, which is ended with the block. `env` is added to HOME, PATH and the like.
    Raises OSError where it cannot be started, DiedAtStart where a signal ended it before it said anything, and
    ServerExited where the block fails because it is over."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env=get_default_environment() | dict(env), cwd=cwd, start_new_session=True, limit=MAX_LINE,
    )  # fmt: skip
    lines = _Lines(process)
    died: DiedAtStart | ServerExited | None = None
    delivery, inbox = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outbox, sending = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_read, lines, delivery)
            group.start_soon(_write, process, sending, delivery)
            try:
                yield inbox, outbox
            finally:
                over = lines.over
                with anyio.CancelScope(shield=True):
                    code = await _end(process)
                group.cancel_scope.cancel()
                if code is not None and code < 0 and not lines.heard:
                    died = DiedAtStart(command[0], code)
                elif code is not None and over:
                    died = ServerExited(command[0], code)
    except Exception as error:
        if died is not None:
            raise died from error
        raise
    finally:
        for stream in (delivery, inbox, outbox, sending):
            stream.close()


class _Lines:
    """What a server writes. `heard`: whether it wrote anything; `over`: whether it has ended that."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101 (for the type checker)
        self._source = process.stdout
        self.heard = self.over = False

    async def next(self) -> bytes:
        """The next line; empty at the end. Raises ValueError for one that is too long."""
        line = await self._source.readline()
        self.heard = self.heard or bool(line)
        self.over = not line
        return line


async def _read(lines: _Lines, delivery: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    """Deliver the messages; the end of the delivery is the end of the session."""
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        async with delivery:
            while True:
                try:
                    line = await lines.next()
                except ValueError:
                    log.warning("an MCP server sent a message of more than %d bytes", MAX_LINE)
                    return
                if not line:
                    return
                await delivery.send(_message(line))


def _message(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _write(
    process: asyncio.subprocess.Process,
    sending: MemoryObjectReceiveStream[SessionMessage],
    delivery: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    assert process.stdin is not None  # noqa: S101 (for the type checker)
    try:
        async for each in sending:
            process.stdin.write(each.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            await process.stdin.drain()
    except (OSError, anyio.ClosedResourceError):
        delivery.close()  # whoever waits for an answer hears that there will be none


async def _end(process: asyncio.subprocess.Process) -> int | None:
    """Close its input, and end the group by force where it does not go. What the leader leaves behind is killed.

    The exit code of one that went by itself."""
    assert process.stdin is not None  # noqa: S101 (for the type checker)
    process.stdin.close()
    code = process.returncode if await _gone(process) else None
    if code is None:
        _signal(process, signal.SIGTERM)
        await _gone(process)
    _signal(process, signal.SIGKILL)
    await _gone(process)
    transport = getattr(process, "_transport", None)  # nothing public closes the pipes that a survivor holds
    if transport is not None:
        transport.close()
    return code


async def _gone(process: asyncio.subprocess.Process) -> bool:
    """Whether it ends in time. Not by `wait`, which waits for the pipes too."""
    with anyio.move_on_after(PATIENCE):
        while process.returncode is None:
            await asyncio.sleep(0.01)
    return process.returncode is not None


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
