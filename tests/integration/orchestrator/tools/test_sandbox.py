"""The sandbox: code that is meant well runs, and code that is not gets nowhere."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import psutil
import pytest

from services.orchestrator.domain.tool import Reason, ToolPolicy, ToolResult
from services.orchestrator.tools.builtin.python import Python
from services.orchestrator.tools.sandbox.runner import Sandbox, SandboxLimits, SandboxOutcome, SandboxRefused, Stop
from services.orchestrator.tools.toolbox import Toolbox
from tests.fakes.serving import until
from tests.fakes.tools import CONTEXT, call

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is made of Linux's own means"),
]
ROOT = Path(__file__).parents[4]
SYSTEM_PYTHON = "/usr/bin/python3"
LIMITS = SandboxLimits(seconds=5)


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@pytest.fixture(params=["namespaces", "no namespaces"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """With all layers, and with those alone that need no rights. Without namespaces root's Python in root's own folder
    is out of reach, so that the system's is taken."""
    before = children()
    if request.param == "namespaces":
        yield Sandbox()
    elif Path(SYSTEM_PYTHON).exists():
        yield Sandbox(interpreter=SYSTEM_PYTHON, namespaces=False)
    else:
        pytest.skip(f"there is no {SYSTEM_PYTHON}")
    assert children() <= before


async def run(sandbox: Sandbox, code: str, limits: SandboxLimits = LIMITS) -> SandboxOutcome:
    return await sandbox.run(code, limits)


async def test_the_layers_are_up(sandbox: Sandbox) -> None:
    outcome = await run(sandbox, "pass")
    assert {"rlimits", "landlock", "seccomp"} <= set(outcome.layers)
    if os.geteuid() == 0:
        assert "user" in outcome.layers


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("1 + 1", "2\n"),
        ("print('a')\n'b'", "a\n'b'\n"),
        ("x = 3", ""),
        ("print('语言 😀')", "语言 😀\n"),
        ("import sys; print(sys.argv, __name__)", "['<code>'] __main__\n"),
        ("def f(n): return n and n * f(n - 1) or 1\nf(10)", "3628800\n"),
        ("import json, decimal, statistics, re, datetime, collections; json.dumps([1])", "'[1]'\n"),
        ("import zoneinfo; zoneinfo.ZoneInfo('Europe/Paris').key", "'Europe/Paris'\n"),
        ("import sqlite3; sqlite3.connect(':memory:').execute('select 6*7').fetchone()", "(42,)\n"),
        ("open('a.txt', 'w').write('hi'); open('a.txt').read()", "'hi'\n"),
        ("import os; os.mkdir('d'); os.rename('d', 'e'); os.listdir('.')", "['e']\n"),
        ("import tempfile; tempfile.TemporaryFile(dir='.').write(b'x')", "1\n"),
        ("input()", "EOFError"),
        ("import sys; sys.exit(0)", ""),
    ],
)
async def test_code_that_is_meant_well(sandbox: Sandbox, code: str, output: str) -> None:
    outcome = await run(sandbox, code)
    if output == "EOFError":
        assert output in outcome.output
    else:
        assert (outcome.output, outcome.status) == (output, 0)


async def test_errors_are_told_as_python_tells_them(sandbox: Sandbox) -> None:
    outcome = await run(sandbox, "def f():\n    return 1 / 0\nf()")
    assert outcome.status == 1
    assert outcome.output.endswith("ZeroDivisionError: division by zero\n")
    assert 'File "<code>", line 2, in f' in outcome.output
    assert "launch" not in outcome.output
    assert "SyntaxError" in (await run(sandbox, "def")).output
    assert (await run(sandbox, "import sys; sys.exit(7)")).status == 7


async def test_nothing_is_kept_between_calls(sandbox: Sandbox) -> None:
    await run(sandbox, "open('kept', 'w').write('x'); kept = 1")
    assert (await run(sandbox, "import os; os.listdir('.'), 'kept' in globals()")).output == "([], False)\n"


# What must not work. Each prints "OUT" where it did.
ESCAPES = {
    "read the users": "print('OUT', open('/etc/passwd').read())",
    "read the project": f"print('OUT', open({str(ROOT / 'pyproject.toml')!r}).read())",
    "list the root": "import os; names = os.listdir('/'); print('OUT', names)",
    "list the home": "import os; print('OUT', os.listdir(os.path.expanduser('~root')))",
    "read by a link": "import os; os.symlink('/etc/passwd', 'l'); print('OUT', open('l').read())",
    "read by a hard link": "import os; os.link('/etc/passwd', 'l'); print('OUT', open('l').read())",
    "read above the scratch folder": "print('OUT', open('../../etc/passwd').read())",
    "write outside": "open('/tmp/headworks-escape', 'w').write('x'); print('OUT')",
    "write to the library": "import json; open(json.__file__, 'a').write('#'); print('OUT')",
    "change a mode": "import os, json; os.chmod(json.__file__, 0o777); print('OUT')",
    "import the project": f"import sys; sys.path.insert(0, {str(ROOT)!r}); import services.runtime; print('OUT')",
    "import what was loaded": "import services.orchestrator.tools.sandbox.libc; print('OUT')",
    "import installed packages": f"import sys; sys.path += {[p for p in sys.path if 'site-packages' in p]!r}\n"
    "import orjson; print('OUT')",
    "connect": "import socket; socket.create_connection(('127.0.0.1', {port}), 2); print('OUT')",
    "an inet socket": "import socket; socket.socket(); print('OUT')",
    "an inet6 socket": "import socket; socket.socket(socket.AF_INET6); print('OUT')",
    "a raw socket": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW); print('OUT')",
    "a netlink socket": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); print('OUT')",
    "a unix socket": "import socket; socket.socket(socket.AF_UNIX); print('OUT')",
    "a pair of sockets": "import socket; socket.socketpair(); print('OUT')",
    "fork": "import os\nif os.fork() == 0:\n    os._exit(0)\nprint('OUT')",
    "a subprocess": "import subprocess; subprocess.run(['/bin/true']); print('OUT')",
    "a spawned process": "import os; os.posix_spawn('/bin/true', ['true'], {{}}); print('OUT')",
    "exec": "import os; os.execv('/bin/echo', ['echo', 'OUT'])",
    "multiprocessing": "import multiprocessing as m; p = m.Process(target=int); p.start(); p.join(); print('OUT')",
    "kill the parent": "import os; os.kill({parent}, 0); print('OUT')",
    "kill its own parent": "import os; os.kill(os.getppid() or 1, 0); print('OUT')",
    "kill all": "import os; os.kill(-1, 9); print('OUT')",
    "kill a group": "import os; os.killpg(os.getpgrp(), 0); print('OUT')",
    "send signals by fcntl": "import fcntl, os; r, w = os.pipe(); fcntl.fcntl(r, 8, {parent}); print('OUT')",
    "read the parent's memory": "print('OUT', open('/proc/{parent}/maps').read())",
    "read the parent's environment": "print('OUT', open('/proc/{parent}/environ').read())",
    "list processes": "import os; print('OUT', os.listdir('/proc'))",
    "raise its limits": "import resource as r; r.setrlimit(r.RLIMIT_AS, (-1, -1)); print('OUT')",
    "raise a soft limit": "import resource as r; r.setrlimit(r.RLIMIT_CPU, r.getrlimit(r.RLIMIT_CPU)); print('OUT')",
    "become root": "import os; os.setuid(0); print('OUT')",
    "a device": "import os; os.mknod('null', 0o20666, os.makedev(1, 3)); print('OUT')",
    "a named pipe": "import os; os.mkfifo('fifo'); print('OUT')",
    "another root": "import os; os.chroot('.'); print('OUT')",
    "memory that no limit counts": "import os; os.memfd_create('x'); print('OUT')",
}
# By number, through ctypes: what no module of Python's stands in front of.
SYSCALLS = {
    "socket": (41, "2, 1, 0"), "fork": (57, ""), "vfork": (58, ""), "ptrace": (101, "16, {parent}, 0, 0"),
    "clone": (56, "17, 0, 0, 0, 0"), "clone3": (435, "0, 0"), "execve": (59, "b'/bin/true', 0, 0"),
    "execveat": (322, "-100, b'/bin/true', 0, 0, 0"), "unshare": (272, "0x10000000"), "setns": (308, "0, 0"),
    "mount": (165, "0, 0, 0, 0, 0"), "umount2": (166, "b'/', 2"), "pivot_root": (155, "b'.', b'.'"),
    "chroot": (161, "b'.'"), "bpf": (321, "0, 0, 0"), "perf_event_open": (298, "0, 0, 0, 0, 0"),
    "io_uring_setup": (425, "8, 0"), "process_vm_readv": (310, "{parent}, 0, 0, 0, 0, 0"), "kcmp": (312, "0, 0, 0"),
    "pidfd_open": (434, "{parent}, 0"), "tkill": (200, "{parent}, 0"), "rt_sigqueueinfo": (129, "{parent}, 10, 0"),
    "keyctl": (250, "0, 0, 0, 0, 0"), "add_key": (248, "0, 0, 0, 0, 0"), "userfaultfd": (323, "0"),
    "prctl": (157, "4, 1, 0, 0, 0"), "seccomp": (317, "0, 0, 0"), "landlock": (444, "0, 0, 1"),
    "chmod": (90, "b'/tmp', 0o777"), "truncate": (76, "b'/etc/passwd', 0"), "shmget": (29, "0, 4096, 0o1777"),
    "mq_open": (240, "b'x', 0o102, 0o600, 0"), "init_module": (175, "0, 0, b''"), "reboot": (169, "0, 0, 0, 0"),
    "name_to_handle_at": (303, "-100, b'.', 0, 0, 0"), "open_by_handle_at": (304, "0, 0, 0"), "setuid": (105, "0"),
}  # fmt: skip


def attempt(code: str, port: int = 0) -> str:
    return code.replace("{parent}", str(os.getpid())).replace("{port}", str(port)).replace("{{}}", "{}")


@pytest.mark.parametrize("name", ESCAPES)
async def test_an_escape(sandbox: Sandbox, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = attempt(ESCAPES[name], server.getsockname()[1])
        outcome = await run(sandbox, code)
    assert not any(line.startswith("OUT") for line in outcome.output.splitlines()), outcome.output
    assert outcome.status != 0
    assert not os.access("/tmp/headworks-escape", os.F_OK)  # noqa: S108 (what the code tries to write)


@pytest.mark.parametrize("name", SYSCALLS)
async def test_a_system_call_by_its_number(sandbox: Sandbox, name: str) -> None:
    number, arguments = SYSCALLS[name]
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
got = libc.syscall({", ".join(part for part in (str(number), attempt(arguments)) if part)})
print(got, ctypes.get_errno())
"""
    outcome = await run(sandbox, code)
    assert outcome.output in ("-1 1\n", "-1 38\n"), outcome.output  # EPERM; ENOSYS for clone3


@pytest.mark.parametrize(
    "code",
    [b"\xb8\x02\x00\x00\x00\xcd\x80\xc3", b"\xb8\x39\x00\x00\x40\x0f\x05\xc3"],
    ids=["the 32-bit interface", "the x32 interface"],
)
async def test_another_abi_ends_the_process(sandbox: Sandbox, code: bytes) -> None:
    program = f"""
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write({code!r})
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
print("OUT", ctypes.CFUNCTYPE(ctypes.c_long)(address)())
"""
    outcome = await run(sandbox, program)
    assert "OUT" not in outcome.output
    assert outcome.status == -signal.SIGSYS


async def test_the_environment_is_empty(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWORKS_TEST_SECRET", "hush")
    outcome = await run(sandbox, "import os; {k: v for k, v in os.environ.items() if k != 'LC_CTYPE'}")
    assert outcome.output == "{}\n"


async def test_no_descriptor_is_inherited(sandbox: Sandbox) -> None:
    code = "import os\nfor n in range(64):\n    try: os.fstat(n); print(n)\n    except OSError: pass"
    assert (await run(sandbox, code)).output == "0\n1\n2\n"


async def test_memory_is_limited(sandbox: Sandbox) -> None:
    outcome = await run(sandbox, "x = bytearray(600 << 20)", SandboxLimits(seconds=5, memory_mib=256))
    assert "MemoryError" in outcome.output
    grown = await run(
        sandbox, "x = []\nwhile True: x.append(bytearray(1 << 20))", SandboxLimits(seconds=5, memory_mib=256)
    )
    assert "MemoryError" in grown.output
    assert (await run(sandbox, "len(bytearray(100 << 20))")).status == 0


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)", "9 ** 9 ** 9"])
async def test_time_is_limited(sandbox: Sandbox, code: str) -> None:
    outcome = await run(sandbox, f"print('begun', flush=True)\n{code}", SandboxLimits(seconds=0.5))
    assert (outcome.stopped_for, outcome.output) == (Stop.TIME, "begun\n")


async def test_code_that_closes_its_output_is_still_limited(sandbox: Sandbox) -> None:
    code = "import os\nos.close(1); os.close(2)\nwhile True: pass"
    assert (await run(sandbox, code, SandboxLimits(seconds=0.5))).stopped_for == Stop.TIME


async def test_signals_do_not_keep_it_alive(sandbox: Sandbox) -> None:
    code = "import signal\nfor n in (1, 2, 15, 24): signal.signal(n, signal.SIG_IGN)\nwhile True: pass"
    assert (await run(sandbox, code, SandboxLimits(seconds=0.5))).stopped_for == Stop.TIME


async def test_output_is_limited(sandbox: Sandbox) -> None:
    outcome = await run(sandbox, "while True: print('x' * 1000)", SandboxLimits(seconds=5, output=10_000))
    assert outcome.stopped_for == Stop.OUTPUT
    assert len(outcome.output) == 10_000


async def test_files_are_limited(sandbox: Sandbox) -> None:
    code = """
import itertools, time
for n in itertools.count():
    with open(str(n), 'wb') as file:
        file.write(b'x' * (1 << 20))
    time.sleep(0.01)
"""
    outcome = await run(sandbox, code, SandboxLimits(seconds=5, scratch_mib=4))
    assert outcome.stopped_for == Stop.SCRATCH or "No space left" in outcome.output
    large = await run(sandbox, "open('a', 'wb').write(b'x' * (6 << 20))", SandboxLimits(seconds=5, scratch_mib=4))
    assert large.status != 0


async def test_threads_are_limited(sandbox: Sandbox) -> None:
    code = """
import threading, time
threading.stack_size(65536)
threads = []
try:
    while len(threads) < 1000:
        threads.append(threading.Thread(target=time.sleep, args=(0.2,), daemon=True))
        threads[-1].start()
except RuntimeError:
    print('limited')
"""
    assert "limited" in (await run(sandbox, code)).output


async def test_a_cancelled_call_leaves_nothing(sandbox: Sandbox) -> None:
    before = children()
    running = asyncio.create_task(run(sandbox, "while True: pass", SandboxLimits(seconds=60)))
    await until(lambda: children() - before)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert children() <= before


async def test_a_call_that_is_cancelled_while_it_prints_leaves_nothing(sandbox: Sandbox) -> None:
    before = children()
    flood = "import time\nwhile True: print('x' * 200_000, flush=True); time.sleep(0.002)"
    async with asyncio.timeout(20):
        for _ in range(3):
            running = asyncio.create_task(run(sandbox, flood, SandboxLimits(seconds=60, output=1 << 30)))
            await until(lambda: children() - before)
            await asyncio.sleep(0.3)  # wherever it is by then
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
    assert children() <= before


async def test_its_folders_are_gone_afterwards(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is below one that only this user may pass
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 (the sandbox has another user)
        monkeypatch.setattr("tempfile.tempdir", folder)
        await run(sandbox, "open('a', 'w').write('x')")
        await run(sandbox, "while True: pass", SandboxLimits(seconds=0.2))
        assert os.listdir(folder) == []  # noqa: PTH208 (likewise)


async def test_only_so_many_run_at_once() -> None:
    sandbox = Sandbox(concurrency=1)
    before = children()
    loop, quick = (Toolbox([Python(sandbox, SandboxLimits(seconds=seconds))]) for seconds in (0.4, 10))
    first = asyncio.create_task(loop.call(call('{"code": "while True: pass"}', "python"), CONTEXT))
    second = asyncio.create_task(quick.call(call('{"code": "2"}', "python"), CONTEXT))
    await until(lambda: children() - before)
    assert len(children() - before) == 1
    assert (await first).error_reason is Reason.TIMEOUT
    assert (await second).content == "2\n"


async def test_one_tenant_s_sleeping_code_holds_up_no_other_s() -> None:
    sandbox = Sandbox()
    toolbox = Toolbox([Python(sandbox, SandboxLimits(seconds=300))], {"python": ToolPolicy(timeout=320)})
    sleeping = [
        asyncio.create_task(toolbox.call(call('{"code": "import time; time.sleep(290)"}', "python"), CONTEXT))
        for _ in range(8)
    ]
    try:
        await until(lambda: sandbox.places.used == 3 and sandbox.places.waiting == 5)
        other = replace(CONTEXT, tenant="other")
        result = await toolbox.call(call('{"code": "2"}', "python"), other)
        assert result.content == "2\n"
        assert not any(task.done() for task in sleeping)
    finally:
        for task in sleeping:
            task.cancel()
        await asyncio.gather(*sleeping, return_exceptions=True)
    assert (sandbox.places.used, sandbox.places.waiting) == (0, 0)


async def test_without_its_protection_no_code_runs(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    broken = folder / "python"
    broken.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxRefused, match="the sandbox did not begin: exited with code 1"):
        await Sandbox(interpreter=str(broken)).run("print('ran')", LIMITS)


@pytest.mark.parametrize(("deaths", "output"), [(1, "ran\n"), (2, None)])
async def test_a_process_that_dies_before_it_begins_is_started_once_more(
    tmp_path: Path, deaths: int, output: str | None
) -> None:
    python = getattr(sys, "_base_executable", sys.executable)
    frail, count = tmp_path / "python", tmp_path / "count"
    frail.write_text(f'#!/bin/sh\necho x >> {count}\n[ $(wc -l < {count}) -gt {deaths} ] || kill -SEGV $$\n'
                     f'exec {python} "$@"\n')  # fmt: skip
    frail.chmod(0o755)
    sandbox = Sandbox(interpreter=str(frail))
    if output is None:
        with pytest.raises(SandboxRefused, match="the sandbox did not begin: killed by SIGSEGV"):
            await sandbox.run("print('ran')", LIMITS)
    else:
        assert (await sandbox.run("print('ran')", LIMITS)).output == output
    assert len(count.read_text().split()) == 2


async def test_code_that_a_signal_ends_is_not_run_again(sandbox: Sandbox) -> None:
    died = await run(sandbox, "import os, signal; print('ran', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
    assert (died.output, died.status) == ("ran\n", -signal.SIGSEGV)


async def tool_result(code: str, limits: SandboxLimits = LIMITS) -> ToolResult:
    toolbox = Toolbox([Python(Sandbox(), limits)], {"python": ToolPolicy(timeout=20)})
    return await toolbox.call(call(orjson.dumps({"code": code}).decode(), "python"), CONTEXT)


async def test_as_a_tool() -> None:
    assert (await tool_result("21 * 2")).content == "42\n"
    assert "printed nothing" in (await tool_result("x = 1")).content
    failed = await tool_result("print('before'); 1 / 0")
    assert (failed.is_error, failed.error_reason) == (True, Reason.FAILED)
    assert "before" in failed.content
    assert "ZeroDivisionError" in failed.content
    late = await tool_result("while True: pass", SandboxLimits(seconds=0.3))
    assert late.error_reason == Reason.TIMEOUT
    assert "0.3 seconds" in late.content
    flood = await tool_result("while True: print('x' * 999)", SandboxLimits(seconds=5, output=1000))
    assert "more than 1000 bytes" in flood.content
