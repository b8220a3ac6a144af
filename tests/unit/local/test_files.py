"""What the supervisor keeps on disk: keys, state, logs, the lock."""

import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from infra.local import logs, state
from infra.local.keys import BadKeyFile, make_keys, read_dev_key
from infra.local.layout import Layout, write_private
from infra.local.lock import DirectoryLock, Locked, is_locked
from infra.local.mesh import python_specs
from infra.local.options import Options
from infra.local.session import with_sockets
from infra.local.state import MeshState, ProcessState
from services.runtime import sockets
from services.runtime.sockets import holds_sockets


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "data")
    made.make()
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_directory_and_the_keys_are_their_owners_alone(layout: Layout) -> None:
    key = make_keys(layout)
    assert mode(layout.root) == 0o700
    assert [mode(path) for path in (layout.dev_key, layout.api_keys, layout.identity_private_key)] == [0o600] * 3
    assert layout.dev_key.read_text() == f"{key}\n"
    assert key.startswith("hw_")
    assert len(key) >= len("hw_") + 43


def test_the_gateway_gets_the_hash_and_not_the_key(layout: Layout) -> None:
    key = make_keys(layout)
    text = layout.api_keys.read_text()
    (entry,) = json.loads(text)["keys"]
    assert key not in text
    assert entry["sha256"] == hashlib.sha256(key.encode()).hexdigest()
    assert key.startswith(entry["prefix"])
    assert (entry["tenant"], entry["scopes"]) == ("default", ["*"])


def test_keys_are_made_once_and_other_keys_kept(layout: Layout) -> None:
    first = make_keys(layout)
    pair = layout.identity_private_key.read_bytes()
    listed = json.loads(layout.api_keys.read_text())["keys"]
    write_private(layout.api_keys, json.dumps({"keys": [*listed, {"id": "other"}]}))
    layout.dev_key.chmod(0o644)
    assert make_keys(layout) == first
    assert [entry["id"] for entry in json.loads(layout.api_keys.read_text())["keys"]] == ["dev", "other"]
    assert layout.identity_private_key.read_bytes() == pair
    assert mode(layout.dev_key) == 0o600


@pytest.mark.parametrize("text", ["", "sk-123\n", "hw_a b\n", "hw_a\nhw_b\n", "hw_é\n"])
def test_what_is_not_a_key_is_refused(layout: Layout, text: str) -> None:
    layout.dev_key.write_text(text)
    with pytest.raises(BadKeyFile):
        read_dev_key(layout.dev_key)


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 1}', "{"])
def test_a_broken_list_of_keys_is_refused(layout: Layout, text: str) -> None:
    layout.api_keys.write_text(text)
    with pytest.raises(BadKeyFile):
        make_keys(layout)


def test_one_holds_the_lock(layout: Layout) -> None:
    first, second = DirectoryLock(layout.lock), DirectoryLock(layout.lock)
    assert not is_locked(layout.lock)
    first.take()
    assert is_locked(layout.lock)
    with pytest.raises(Locked):
        second.take(wait=0.1)
    first.release()
    second.take(wait=0.1)
    second.release()
    assert not is_locked(layout.lock)


def a_state() -> MeshState:
    process = ProcessState("control-0", "control", "running", True, "", 1, 42, "127.0.0.1:1", "127.0.0.1:2", "/l")
    return MeshState(7, "running", "http://127.0.0.1:8080", 1.5, True, 3.2, (process,))


def test_the_state_reads_as_it_was_written(layout: Layout) -> None:
    state.write(layout.state, a_state())
    assert state.read(layout.state) == a_state()
    assert mode(layout.state) == 0o600
    assert a_state().process("control-0").pid == 42
    with pytest.raises(KeyError):
        a_state().process("other")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"processes": [{}]}', '{"processes": []}'])
def test_a_state_that_makes_no_sense_is_none(layout: Layout, text: str) -> None:
    layout.state.write_text(text)
    assert state.read(layout.state) is None


def test_a_state_left_by_a_crash_is_not_a_running_mesh(layout: Layout) -> None:
    state.write(layout.state, a_state())
    assert state.running(layout) is None
    lock = DirectoryLock(layout.lock)
    lock.take()
    assert state.running(layout) == a_state()
    lock.release()


def test_a_log_is_rotated_cut_and_read_from_its_end(layout: Layout) -> None:
    log = layout.log("a-0")
    assert logs.tail(log) == []
    assert not logs.cut(log)
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    assert logs.tail(log, 2) == ["line 48", "line 49"]
    assert not logs.cut(log, most=10_000)
    with log.open("a") as writer:
        assert logs.cut(log, most=10)
        writer.write("after\n")
    assert log.read_text() == "after\n"
    logs.rotate(log)
    assert not log.exists()
    assert log.with_name("a-0.log.1").read_text() == "after\n"


def test_sockets_are_in_the_data_directory_where_it_can_hold_them(tmp_path: Path) -> None:
    near = Layout(tmp_path / "data")
    near.make()
    assert with_sockets(near) == near
    assert list(near.sockets.iterdir()) == []
    far = Layout(tmp_path / ("x" * 100))
    far.make()
    elsewhere = with_sockets(far)
    try:
        assert elsewhere.sockets != far.sockets
        assert elsewhere.sockets.stat().st_mode & 0o777 == 0o700
        assert holds_sockets(elsewhere.sockets)
        assert [spec.sweep for spec in python_specs(Options(far.root), elsewhere) if spec.sweep] == [
            f"{elsewhere.sockets}/"
        ]
    finally:
        elsewhere.sockets.rmdir()


@pytest.mark.parametrize(
    ("name", "target"), [("a b", "unix:/run/a%20b"), ("triton:1", "unix:/run/triton:1"), ("ü", "unix:/run/%C3%BC")]
)
def test_the_target_of_a_socket_is_a_uri(name: str, target: str) -> None:
    assert sockets.target(Path("/run") / name) == target


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", "run", "logs", "logs/gateway-0.log"])
def test_a_directory_of_another_user_is_seen(layout: Layout, name: str) -> None:
    assert layout.foreign() is None
    path = layout.root / name
    if name.endswith(".log"):
        path.symlink_to(layout.root.parent / "elsewhere")
    os.lchown(path, 65534, 65534)
    assert layout.foreign() == path
