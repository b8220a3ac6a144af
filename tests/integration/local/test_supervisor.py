"""The supervisor over small stand-ins for the mesh's processes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from infra.local import process as process_module
from infra.local import state
from infra.local.discovery import current_replicas
from infra.local.layout import Layout
from infra.local.lock import DirectoryLock, is_locked
from infra.local.options import Options
from infra.local.ports import PortBook, is_free
from infra.local.process import State
from infra.local.process_host import ProcessHost, ProcessHostGone
from infra.local.session import Refused, claim_edge_port, mesh, take
from infra.local.spec import SILENT, Children, Command, Health, Ports, Spec
from infra.local.state import MeshState, ProcessState
from infra.local.supervisor import Limits, StartFailed, Supervisor
from tests.fakes.probes import Listening
from tests.integration.local.mesh_of_stand_ins import stand_in

MESH = Path(__file__).with_name("mesh_of_stand_ins.py")
LIMIT = 30.0


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.make()
    return made


@asynccontextmanager
async def supervised(
    layout: Layout, *specs: Spec, ready_setting: str = "", **limits: float
) -> AsyncIterator[Supervisor]:
    given = Limits(**{"ready": LIMIT, "drain": 1.0, **limits}, ready_setting=ready_setting)
    async with Supervisor(
        layout, specs, "http://127.0.0.1:1", layout.root, observe=lambda _: None, limits=given
    ) as made:
        yield made


async def until(condition: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(LIMIT):
            while not condition():
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"waited {LIMIT:g} s for {what}")


def lives(pid: int | None) -> bool:
    """Whether the process runs; a zombie that nobody has reaped yet does not."""
    try:
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_in(file: Path) -> int:
    text = file.read_text() if file.exists() else ""
    return int(text) if text else 0


async def test_starts_in_order_and_says_so(layout: Layout) -> None:
    specs = [stand_in("first"), stand_in("second", after=("first",), rank=1)]
    async with supervised(layout, *specs) as supervisor:
        assert await supervisor.start()
        written = state.read(layout.state)
        assert written is not None
        assert written.ready
        assert written.phase == "running"
        assert written.seconds_to_ready is not None
        first, second = written.processes
        assert (first.state, first.ready, first.restarts) == ("running", True, 0)
        assert psutil.Process(first.pid).create_time() <= psutil.Process(second.pid).create_time()
        assert f"stand-in {first.pid}" in layout.log("first").read_text()
        assert json.loads(layout.targets.read_text()) == []
        pids = [first.pid, second.pid]
    assert not any(map(lives, pids))
    assert not layout.state.exists()


async def test_the_edge_takes_no_new_calls_before_anything_stops(layout: Layout) -> None:
    alive: list[bool] = []

    async def quiesce() -> None:
        alive.extend(lives(process.pid) for process in supervisor.processes)

    edge = replace(stand_in("edge"), quiesce=quiesce)
    async with supervised(layout, edge, stand_in("gateway", rank=1)) as supervisor:
        assert await supervisor.start()
        pids = [process.pid for process in supervisor.processes]
    assert alive == [True, True]
    assert not any(map(lives, pids))


async def test_a_process_that_dies_comes_back_after_longer_and_longer_waits(layout: Layout) -> None:
    async with supervised(layout, stand_in("one")) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        waits = []
        for deaths in (1, 2):
            pid, port = process.pid, process.ports["grpc"]
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda deaths=deaths: process.restarts == deaths, "its death")  # type: ignore[misc]
            waits.append(process.health.reason)
            await until(process.ready.is_set, "its return")
            assert process.pid != pid
            assert process.ports["grpc"] == port
        assert waits == ["killed by SIGKILL; starts again in 0.2 s", "killed by SIGKILL; starts again in 0.4 s"]
        assert supervisor.state().process("one").restarts == 2


async def test_a_port_that_is_taken_meanwhile_is_replaced(layout: Layout) -> None:
    async with supervised(layout, stand_in("one")) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        port = process.ports["grpc"]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: process.state == State.RESTARTING, "its death")
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
        async with server:
            await until(process.ready.is_set, "its return")
            assert process.ports["grpc"] != port


async def test_a_start_that_fails_names_the_process_and_shows_its_log(layout: Layout) -> None:
    async with supervised(layout, stand_in("good"), stand_in("bad", "crash")) as supervisor:
        with pytest.raises(StartFailed) as caught:
            await supervisor.start()
        pid = supervisor.processes[0].pid
    assert caught.value.name == "bad"
    assert caught.value.reason == "exited with code 3"
    assert caught.value.lines[-1] == "cannot go on"
    assert not lives(pid)


async def test_a_start_that_takes_too_long_fails(layout: Layout) -> None:
    slow = stand_in("slow", after=("never",))
    never = stand_in("never", "crash")
    async with supervised(layout, slow, never, ready=0.1) as supervisor:
        with pytest.raises(StartFailed):
            await supervisor.start()


async def test_a_start_that_takes_too_long_names_the_limit_and_what_the_log_says_of_it(layout: Layout) -> None:
    waiting = replace(stand_in("waiting", after=("never",)), why=lambda lines: f"; {len(lines)} lines")
    never = stand_in("never", "crash")
    async with supervised(layout, waiting, never, ready=0.1, ready_setting="HEADWORKS_MODELS_START_SECONDS") as found:
        with pytest.raises(StartFailed) as caught:
            await found.start()
    assert caught.value.name == "waiting"
    assert "after 0.1 s, the limit that is set by HEADWORKS_MODELS_START_SECONDS" in caught.value.reason
    assert caught.value.reason.endswith("; 0 lines")


async def test_a_program_that_is_not_there_fails_the_start(layout: Layout) -> None:
    from dataclasses import replace

    from infra.local.spec import Command

    missing = replace(stand_in("missing"), command=lambda _: Command(["/nowhere/program"], {}))
    async with supervised(layout, missing) as supervisor:
        with pytest.raises(StartFailed, match="No such file"):
            await supervisor.start()


async def test_a_stubborn_process_is_killed_with_all_its_descendants(layout: Layout, tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    async with supervised(layout, stand_in("one", "stubborn", "grandchild", str(grandchild)), drain=0.3) as supervisor:
        assert await supervisor.start()
        pid, below = supervisor.processes[0].pid, pid_in(grandchild)
        assert lives(below)
    assert not lives(pid)
    assert not lives(below)


@pytest.mark.parametrize("by", ["the supervisor", "somebody else"])
async def test_a_process_may_drain_for_as_long_as_its_own_limit_says(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Though it answers nobody meanwhile, which of another is a reason to kill it."""
    monkeypatch.setattr(process_module, "KILL_SECONDS", 0.3)
    told = tmp_path / "told"
    spec = replace(stand_in("one", "drains", str(told)), drain=60.0, probe=Speaks())
    async with supervised(layout, spec, drain=0.3) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        if by == "somebody else":
            os.kill(process.pid or 0, signal.SIGTERM)
            await until(lambda: process.restarts == 1, "its end")
            assert process.kills.total() == 0
    assert told.read_text() == "all was answered"


@pytest.mark.parametrize("later", [0.2, None])
async def test_a_second_interrupt_kills_at_once(layout: Layout, later: float | None) -> None:
    async with supervised(layout, stand_in("one", "stubborn"), drain=600) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        pid = process.pid
        supervisor.interrupt()
        if later is None:
            supervisor.interrupt()
        await supervisor.keep()
        if later is not None:
            asyncio.get_running_loop().call_later(later, supervisor.interrupt)
    assert not lives(pid)
    assert process.restarts == 0


async def test_interrupted_while_starting_it_leaves_nothing(layout: Layout) -> None:
    async with supervised(
        layout, stand_in("one"), stand_in("two", after=("never",)), stand_in("never", "crash")
    ) as made:
        asyncio.get_running_loop().call_soon(made.interrupt)
        assert not await made.start()
        pids = [process.pid for process in made.processes]
    assert not any(map(lives, pids))


async def test_the_death_of_the_reaper_is_seen_and_takes_all_with_it(layout: Layout) -> None:
    async with supervised(layout, stand_in("one")) as supervisor:
        assert await supervisor.start()
        pid = supervisor.processes[0].pid
        assert pid is not None
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        with pytest.raises(ProcessHostGone):
            await supervisor.keep()
        await until(lambda: not lives(pid), "the end of the process")


@asynccontextmanager
async def mesh_process(layout: Layout, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A supervisor in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(MESH), str(layout.root), *arguments,
        cwd=Path(__file__).parents[3], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await until(lambda: not is_locked(layout.lock), "the end of what it started")


async def running(layout: Layout) -> MeshState:
    found: list[MeshState] = []

    def is_up() -> bool:
        now = state.running(layout)
        if now is not None and now.phase == "running":
            found.append(now)
        return bool(found)

    await until(is_up, "the mesh")
    return found[0]


async def test_a_killed_supervisor_leaves_no_process(layout: Layout, tmp_path: Path) -> None:
    grandchild = tmp_path / "grandchild"
    async with mesh_process(layout, "one:stubborn", f"two:grandchild,{grandchild}") as process:
        now = await running(layout)
        await until(lambda: pid_in(grandchild) > 0, "the grandchild")
        pids = [one.pid for one in now.processes] + [pid_in(grandchild)]
        assert all(map(lives, pids))
        process.kill()
        await process.wait()
        await until(lambda: not any(map(lives, pids)), "the end of its processes")
        await until(lambda: not is_locked(layout.lock), "the lock")
    assert layout.state.exists()
    assert state.running(layout) is None


class Speaks:
    """Ready where the stand-in says something, be it goodbye: the kernel accepts connections for a frozen process."""

    async def check(self, ports: Ports) -> Health:
        try:
            async with asyncio.timeout(LIMIT / 20):
                reader, writer = await asyncio.open_connection("127.0.0.1", ports["grpc"])
                try:
                    await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return Health(False, SILENT, alive=False)
        return Health(True)

    async def aclose(self) -> None:
        pass


async def test_a_frozen_process_leaves_the_rotation_and_is_started_anew(layout: Layout) -> None:
    frozen, other = (replace(stand_in(name), probe=Speaks(), published=True) for name in ("one", "two"))
    async with supervised(layout, frozen, other) as supervisor:
        assert await supervisor.start()
        process, _ = supervisor.processes
        pid = process.pid
        assert pid is not None
        assert current_replicas(supervisor.processes).keys() == {"one", "two"}
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: not current_replicas(supervisor.processes)["one"], "its leaving")
        assert (process.pid, process.restarts) == (pid, 0)
        assert current_replicas(supervisor.processes)["two"]
        assert supervisor.state().process("one").reason == "does not answer"
        await until(lambda: process.restarts == 1, "its end")
        assert process.ending.startswith("does not answer, for 1")
        assert process.ending.endswith("killed by SIGKILL")
        await until(process.ready.is_set, "its return")
        assert current_replicas(supervisor.processes)["one"]
        assert not lives(pid)


async def test_a_state_that_cannot_be_written_is_not_confirmed(layout: Layout) -> None:
    """As on a full disk: what the file still says of a process that died since is not taken for true."""
    lock = DirectoryLock(layout.lock)
    take(lock, layout)
    in_the_way = layout.state.with_name(f".{layout.state.name}.new")
    try:
        async with supervised(layout, stand_in("one")) as supervisor:
            assert await supervisor.start()
            assert state.running(layout).ready  # type: ignore[union-attr]  # it runs
            in_the_way.mkdir()
            os.kill(supervisor.processes[0].pid or 0, signal.SIGKILL)
            await until(lambda: not state.running(layout).ready, "doubt")  # type: ignore[union-attr]  # likewise
            found = state.running(layout)
            assert found is not None
            assert found.phase == "running"
            assert f"the supervisor (process {os.getpid()}) cannot write mesh.json" in found.trouble
            assert found.processes[0].reason == found.trouble
            assert supervisor.state().trouble == "cannot write mesh.json: it is a directory"
            in_the_way.rmdir()
            await until(lambda: state.running(layout).ready, "the truth")  # type: ignore[union-attr]  # likewise
            assert state.running(layout).process("one").restarts == 1  # type: ignore[union-attr]  # likewise
    finally:
        lock.release()


async def test_a_stopped_reaper_is_woken(layout: Layout) -> None:
    async with supervised(layout, stand_in("one")) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        reaper = psutil.Process(process.pid).parent()
        assert reaper is not None
        reaper.suspend()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: process.restarts == 1, "news of its death")
        await until(process.ready.is_set, "its return")


def child_of(pid: int | None) -> psutil.Process:
    assert pid is not None
    return psutil.Process(pid).children()[1]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_process_whose_child_has_died_is_started_anew_at_once(layout: Layout, number: signal.Signals) -> None:
    """Its parent answers as ever, and leaves it a zombie."""
    needs = Children("sleep", lambda command_line: f"of {command_line.split()[-1]}")
    async with supervised(layout, replace(stand_in("one", "children"), children=needs)) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        child, pid = child_of(process.pid), process.pid
        child.send_signal(number)
        await until(lambda: process.restarts == 1, "its end")
        assert process.ending == f"its process of 600 ({child.pid}) has died; killed by SIGKILL"
        assert process.kills == {"child_died": 1, "silent": 0, "slow_start": 0}
        assert f"its process of 600 ({child.pid}) has died" in process.log.read_text()
        await until(process.ready.is_set, "its return")
        assert process.pid != pid


class Counted(Listening):
    """Knows how often it was asked."""

    asked = 0

    async def check(self, ports: Ports) -> Health:
        self.asked += 1
        return await super().check(ports)


async def test_other_children_may_come_and_go(layout: Layout) -> None:
    probe = Counted()
    one = replace(stand_in("one", "children"), probe=probe, children=Children("another"))
    async with supervised(layout, one) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        child_of(process.pid).kill()
        other = child_of(process.pid)
        await until(lambda: other.status() == psutil.STATUS_ZOMBIE, "its end")
        asked = probe.asked
        await until(lambda: probe.asked >= asked + 2, "a whole check after that")
        assert process.health.ready
        assert process.restarts == 0


@pytest.mark.parametrize(("patience", "why"), [(1.0, "slow_start"), (600.0, "silent")], ids=["mute", "stopped"])
async def test_a_process_that_hangs_while_it_starts_is_started_anew(layout: Layout, patience: float, why: str) -> None:
    one = replace(stand_in("one", "mute"), probe=Speaks(), start=patience)
    async with supervised(layout, one) as supervisor:
        starting = asyncio.create_task(supervisor.start())
        (process,) = supervisor.processes
        await until(lambda: process.health.reason == SILENT, "its first answer that does not come")
        if why == "silent":
            os.kill(process.pid or 0, signal.SIGSTOP)
        await until(lambda: process.restarts == 1, "its end")
        expected = "stopped by a signal, for 1" if why == "silent" else f"{SILENT}, 1 s after its start"
        assert process.ending.startswith(expected)
        assert process.ending.endswith("; killed by SIGKILL")
        assert process.health.reason.endswith("starts again in 0.2 s")
        assert process.kills[why] == process.kills.total() == 1
        assert "killed, to be started again: " in process.log.read_text()
        supervisor.interrupt()
        assert not await starting


async def test_a_service_that_cannot_start_says_why(layout: Layout) -> None:
    async with supervised(layout, stand_in("one", "refuse")) as supervisor:
        starting = asyncio.create_task(supervisor.start())
        (process,) = supervisor.processes
        await until(lambda: process.restarts == 2, "its second death")
        assert process.health.reason == "exited with code 1: the disk is full; starts again in 0.4 s"
        with pytest.raises(StartFailed, match="exited with code 1: the disk is full"):
            await starting


class Broken(Speaks):
    """A probe with a fault of its own, once the process is ready."""

    ready = False

    async def check(self, ports: Ports) -> Health:
        if self.ready:
            raise LookupError("no such thing")
        self.ready = True
        return Health(True)


async def test_a_fault_of_the_supervisors_own_is_not_lost(layout: Layout) -> None:
    async def run() -> None:
        async with supervised(layout, replace(stand_in("one"), probe=Broken())) as supervisor:
            await supervisor.start()
            await supervisor.keep()

    async with asyncio.timeout(LIMIT):
        with pytest.raises(LookupError, match="no such thing"):
            await run()


async def test_a_process_that_answers_again_in_time_is_left_alone(layout: Layout) -> None:
    async with supervised(layout, replace(stand_in("one"), probe=Speaks(), published=True)) as supervisor:
        assert await supervisor.start()
        (process,) = supervisor.processes
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        await until(lambda: not process.in_rotation, "its leaving")
        os.kill(process.pid, signal.SIGCONT)
        await until(lambda: process.in_rotation, "its return")
        assert process.restarts == 0


def test_what_a_silent_supervisor_said_is_not_taken_for_true(layout: Layout) -> None:
    process = ProcessState("one", "one", "running", True, "", 0, 1, "127.0.0.1:1", "", "/l")
    now = MeshState(42, "running", "http://127.0.0.1:1", 0, True, processes=(process,))
    lock = DirectoryLock(layout.lock)
    take(lock, layout)
    try:
        state.write(layout.state, now)
        assert state.running(layout) == now
        before = time.time() - 60
        os.utime(layout.state, (before, before))
        os.utime(layout.lock, (before, before))
        found = state.running(layout)
        assert found is not None
        assert found.phase == "silent"
        assert (found.ready, found.processes[0].ready) == (False, False)
        assert "the supervisor (process 42) has not been heard from for 60 s" in found.processes[0].reason
    finally:
        lock.release()


async def test_what_a_process_writes_is_private_and_what_it_leaves_is_removed(tmp_path: Path) -> None:
    run, memory, other = tmp_path / "run", tmp_path / "memory_1", tmp_path / "other"
    run.mkdir()
    writes = "[open(name, 'w') for name in ('run/socket', 'memory_1', 'other')]"
    async with ProcessHost(sweep=(f"{run}/", f"{tmp_path}/memory_")) as host:
        child = await host.start(Command([sys.executable, "-c", writes], os.environ), tmp_path, tmp_path / "log")
        assert await child.exited == 0
        assert {path.stat().st_mode & 0o777 for path in (run / "socket", memory, other)} == {0o600}
    assert not run.exists()
    assert not memory.exists()
    assert other.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_stops_everything_in_order(layout: Layout, number: signal.Signals) -> None:
    async with mesh_process(layout, "one:", "two:") as process:
        now = await running(layout)
        process.send_signal(number)
        assert await process.wait() == 0
        assert not any(lives(one.pid) for one in now.processes)
    assert not layout.state.exists()


async def test_a_second_mesh_on_the_same_directory_is_refused(layout: Layout) -> None:
    async with mesh_process(layout, "one:"):
        now = await running(layout)
        with pytest.raises(Refused) as caught:
            take(DirectoryLock(layout.lock), layout)
    message = str(caught.value)
    assert str(now.pid) in message
    assert now.edge in message
    assert "--data" in message


async def test_after_a_crash_the_directory_can_be_used_again(layout: Layout) -> None:
    async with mesh_process(layout, "one:") as process:
        await running(layout)
        process.kill()
    async with mesh_process(layout, "one:") as process:
        assert (await running(layout)).pid == process.pid


@pytest.mark.parametrize("variable", ["", "HEADWORKS_GATEWAY_METRICS_PORT", "HEADWORKS_RETRIEVAL_PORT"])
async def test_a_port_that_is_taken_is_refused_before_anything_is_written(tmp_path: Path, variable: str) -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        taken = str(server.sockets[0].getsockname()[1])
        with contextlib.closing(PortBook()) as book:
            edge = book.take()
        options = Options(tmp_path / "data", edge if variable else int(taken), env={variable: taken})
        with pytest.raises(Refused, match=f"port {taken}.*{variable or '--edge-port'}"):
            async with mesh(options, lambda _: None):
                pass
    assert not (tmp_path / "data").exists()


async def test_an_edge_port_that_is_taken_is_refused() -> None:
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Refused, match=f"port {port} .*--edge-port"):
            claim_edge_port(PortBook(), port)


def test_an_edge_port_that_another_mesh_will_use_is_refused() -> None:
    other = PortBook()
    port = other.take()
    with pytest.raises(Refused, match=f"port {port} .*--edge-port"):
        claim_edge_port(PortBook(), port)
    other.close()
    claim_edge_port(PortBook(), port)


async def test_no_process_is_given_a_port_that_another_was_promised(layout: Layout) -> None:
    """The one that has a port given comes last, as Envoy does, in a range with room for just these two."""
    book = next(book for book in map(_book_of_two, range(32_100, 32_700, 2)) if book)
    promised = book.take()
    book.give_back(promised)
    last = replace(stand_in("last", after=("first",)), given={"grpc": promised})
    for _ in range(8):  # a pick without regard to the promise is right in half of all cases
        supervisor = Supervisor(
            layout, [stand_in("first"), last], "http://127.0.0.1:1", layout.root, observe=lambda _: None, book=book
        )
        first = supervisor.processes[0].ports["grpc"]
        assert first != promised
        book.give_back(first)
        book.give_back(promised)
    book.close()


def _book_of_two(first: int) -> PortBook | None:
    """A book with two ports, both free; None where they are not."""
    return PortBook(first, first + 2) if is_free(first) and is_free(first + 1) else None
