"""What a limit of the system that was met means for a person."""

import errno
import os
import resource
import shutil

import pytest

from cli import program
from infra.local.limits import FILE_LIMITS, PROCESS_LIMITS, PROCESSES, raise_files, refusal

THREAD = RuntimeError("can't start new thread")
MET = [
    *[(OSError(number, os.strerror(number)), "") for number in PROCESS_LIMITS],
    *[(OSError(number, os.strerror(number), "/srv/data/x"), "/srv/data/x: ") for number in FILE_LIMITS],
    (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
    (OSError(errno.ENOENT, "No such file or directory", "/srv/x"), "/srv/x: No such file or directory"),
    (
        shutil.Error([("/a", "/srv/b", "[Errno 28] No space left on device: '/a' -> '/srv/b'")]),
        "/srv/b: the disk is full",
    ),
    (THREAD, PROCESSES),
    (MemoryError(), "there is not enough memory"),
]


@pytest.mark.parametrize(("error", "begins"), MET, ids=lambda value: repr(value)[:60])
def test_a_verb_ends_with_one_sentence(
    error: BaseException, begins: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(program.headworks, "main", fail)
    assert program.run(["status"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"headworks: {begins}")
    assert "{" not in line
    assert refusal(error) == line.removeprefix("headworks: ")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        RuntimeError("x"),
        OSError("x"),
        OSError(errno.ENOTSOCK, "x"),
        shutil.Error(),
        shutil.Error("x"),
        shutil.Error([("a", "b", "no number")]),
    ],
)
def test_what_is_no_limit_is_not_taken_for_one(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(program.headworks, "main", fail)
    assert refusal(error) is None
    with pytest.raises(type(error)):
        program.run(["status"])


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "then", "wrong"),
    [
        (64, 4096, 1024, 1024, False),
        (64, 512, 1024, 512, False),
        (64, 64, 1024, 64, True),
        (2048, 4096, 1024, 2048, False),
        (64, resource.RLIM_INFINITY, 1024, 1024, False),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 1024, resource.RLIM_INFINITY, False),
    ],
)
def test_the_limit_of_files_is_raised(
    soft: int, hard: int, wanted: int, then: int, wrong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    said = raise_files(256, wanted)
    assert limits[-1] == (then, hard)
    assert bool(said) == wrong
    if said:
        assert "64 files open at most, and 256 are needed: raise the limit with `ulimit -n 256`" in said
