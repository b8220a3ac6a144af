"""A start that fails on a disk that takes nothing says so, whatever the processes could write of it."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.disk import disk_fault
from services.runtime.file_faults import FAULTS

ROOT = Path(__file__).parents[3]
# In a namespace of its own: nobody else sees the disk.
ON_A_SMALL_DISK = 'mount -t tmpfs -o size="$1" none "$2" && head -c "$3" /dev/zero > "$2/filler"; shift 3; exec "$@"'


def on_a_small_disk(size: int, filled: int, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """What the command does with a disk of so many bytes at `folder`. Skips where no disk may be mounted."""
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(folder)]
    try:
        subprocess.run(probe, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk may be mounted here")
    command = ["unshare", "-rm", "sh", "-c", ON_A_SMALL_DISK, "sh", str(size), str(folder), str(filled), *argv]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120, env=env)


@pytest.mark.parametrize("filled", [0, 1 << 20], ids=["little is left", "nothing is left"])
def test_a_start_on_a_full_disk_says_so(tmp_path: Path, filled: int) -> None:
    argv = [sys.executable, "-m", "tests.integration.local.mesh_of_stand_ins", str(tmp_path), "one:crash"]
    ended = on_a_small_disk(256 << 10, filled, tmp_path, *argv)
    assert ended.returncode == 1
    assert FAULTS[errno.ENOSPC] in ended.stderr.splitlines()[-1]


def test_a_disk_with_room_has_no_fault(tmp_path: Path) -> None:
    assert disk_fault(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_nothing_has_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert disk_fault(tmp_path / "file") == f"{tmp_path / 'file'}: {FAULTS[errno.ENOTDIR]}: use another"
