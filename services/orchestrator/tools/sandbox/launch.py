"""The first thing that runs in the sandboxed process: puts up each layer, then runs the code.

Standard library only. Standard input brings one line of JSON (see `order` in runner) and the code; on descriptor STATUS
it says "ready: LAYERS" or "refused: WHY" before the code runs. Standard output and error are the code's.
"""

import ast
import json
import os
import platform
import resource
import sys
import sysconfig
import traceback
from types import CodeType
from typing import Any

from services.orchestrator.tools.sandbox import landlock, libc, namespaces, seccomp

FILENAME = "<code>"
NOBODY = 65534
MIB = 1 << 20
MAX_FILES = 64
MAX_TASKS = 32
STACK = 8 * MIB
# Where shared libraries are that the standard library's modules load, zones of time, and devices that are no devices.
LIBRARIES = ("/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/etc/ld.so.cache")
SHARED = ("/usr/share/zoneinfo", "/dev/null", "/dev/zero", "/dev/urandom")
SITES = ("site-packages", "dist-packages")


def main() -> None:
    status = int(sys.argv[1])
    header, _, code = sys.stdin.buffer.read().partition(b"\n")
    order = json.loads(header)
    try:
        layers = protect(order)
    except (OSError, libc.SandboxRefused, ValueError) as error:
        os.write(status, f"refused: {error}".encode())
        sys.exit(1)
    os.write(status, f"ready: {' '.join(layers)}".encode())
    os.close(status)
    forget()
    sys.exit(run(code.decode("utf-8", "replace")))


def protect(order: dict[str, Any]) -> list[str]:
    """Put up the layers, from what needs the most rights to what needs none. Raises OSError, SandboxRefused."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise libc.SandboxRefused(f"the sandbox knows Linux on x86-64, not {sys.platform} on {platform.machine()}")
    layers = []
    libc.prctl("death with the parent", libc.PR_SET_PDEATHSIG, 9)
    standard, dynamic = sysconfig.get_path("stdlib"), _dynamic()
    paths = [*LIBRARIES, *SHARED, standard]
    os.umask(0o022)  # the folders of its own root are read by the user that it becomes
    scratch = order["folder"]
    separate = order["namespaces"] and namespaces.enter()
    if separate:
        namespaces.own_root(scratch, paths, order["scratch_mib"] * MIB)
        scratch = namespaces.SCRATCH
        layers.append("namespaces")
    os.chdir(scratch)
    os.umask(0o077)
    _limit(order)
    layers.append("rlimits")
    dropped = os.geteuid() == 0
    if dropped:
        if not separate:
            os.chown(scratch, NOBODY, NOBODY)
        _drop()
        layers.append("user")
    _shed_capabilities()
    if not os.access(standard, os.R_OK | os.X_OK):
        raise libc.SandboxRefused(f"user {os.geteuid()} cannot read Python's library in {standard}")
    libc.prctl("death with the parent", libc.PR_SET_PDEATHSIG, 9)  # a change of user forgets it
    libc.prctl("NO_NEW_PRIVS", libc.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(_rules(scratch, standard, dynamic))
    # Threads are counted by user: only where the user is the sandbox's own is there a limit to them.
    seccomp.install(os.getpid(), threads=dropped or separate)
    return [*layers, "landlock", "seccomp"]


def _dynamic() -> str:
    return os.path.join(sysconfig.get_path("platstdlib"), "lib-dynload")  # noqa: PTH118 (pathlib is slow to import)


def _rules(scratch: str, standard: str, dynamic: str) -> list[tuple[str, int]]:
    """What may be read and written: of the library each module, but not the packages installed beside them."""
    modules = [f"{standard}/{name}" for name in os.listdir(standard) if name not in SITES]  # noqa: PTH208 (likewise)
    return [
        (scratch, landlock.WRITE),
        (standard, landlock.READ_DIR),
        ("/dev/null", landlock.READ | landlock.WRITE_FILE),
        *((path, landlock.READ) for path in (*modules, dynamic, *LIBRARIES, *SHARED)),
    ]


def _limit(order: dict[str, Any]) -> None:
    seconds = max(1, int(order["cpu_seconds"] + 0.999))
    for what, limit in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, order["memory_mib"] * MIB),
        (resource.RLIMIT_FSIZE, order["scratch_mib"] * MIB),
        (resource.RLIMIT_NOFILE, MAX_FILES),
        (resource.RLIMIT_NPROC, MAX_TASKS),
        (resource.RLIMIT_STACK, STACK),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(what, (limit, limit))


def _drop() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def _shed_capabilities() -> None:
    """Give up every capability that is left, such as those of a user namespace."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    none = (ctypes.c_uint32 * 6)()
    libc.syscall("capset", 126, ctypes.byref(header), ctypes.byref(none))


def forget() -> None:
    """Leave the code a fresh interpreter: no modules of the project, no path to it, no arguments, no variables, no
    input."""
    for name in [name for name in sys.modules if name == "services" or name.startswith("services.")]:
        del sys.modules[name]
    sys.path.pop(0)
    sys.argv[:] = [FILENAME]
    os.environ.clear()
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def run(source: str) -> int:
    """Run the code; the value of a last expression is printed, as in a console. Gives the exit status."""
    scope: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        body, last = parts(source)
        exec(body, scope)  # noqa: S102 (what this process is for)
        if last is not None:
            value = eval(last, scope)  # noqa: S307 (likewise)
            if value is not None:
                print(repr(value))  # noqa: T201 (its output is the result)
        sys.stdout.flush()
    except SystemExit as leaving:
        sys.stdout.flush()
        return leaving.code if isinstance(leaving.code, int) else bool(leaving.code)
    except BaseException as error:  # noqa: BLE001 (whatever the code raises is its result)
        sys.stdout.flush()
        while error.__traceback__ and error.__traceback__.tb_frame.f_code.co_filename == __file__:
            error.__traceback__ = error.__traceback__.tb_next
        traceback.print_exception(error)
        return 1
    return 0


def parts(source: str) -> tuple[CodeType, CodeType | None]:
    """The code without a last expression, and that expression. Raises SyntaxError."""
    tree = ast.parse(source, FILENAME)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = tree.body.pop()
        assert isinstance(expression, ast.Expr)  # noqa: S101 (for the type checker)
        last = compile(ast.Expression(expression.value), FILENAME, "eval")
    return compile(tree, FILENAME, "exec"), last
