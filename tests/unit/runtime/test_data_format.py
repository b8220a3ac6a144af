"""Which data a version takes for its own, and what it says of the rest."""

import json
import stat
from pathlib import Path

import pytest

from infra.local.layout import Layout
from infra.local.session import Refused, check_format
from services.runtime import data_format
from services.runtime.data_format import FORMAT, UNVERSIONED, DataFormat, DataFormatUnreadable, DataTooNew


def test_what_is_marked_is_read(tmp_path: Path) -> None:
    data_format.mark(tmp_path)
    assert data_format.read(tmp_path) == DataFormat(FORMAT, data_format.product_version())
    assert [path.name for path in tmp_path.iterdir()] == ["format.json"]
    assert stat.S_IMODE((tmp_path / "format.json").stat().st_mode) == 0o600


def test_it_is_written_when_it_changes_alone(tmp_path: Path) -> None:
    data_format.mark(tmp_path)
    before = (tmp_path / "format.json").stat()
    data_format.mark(tmp_path)
    assert (tmp_path / "format.json").stat().st_ino == before.st_ino
    data_format.write(tmp_path, DataFormat(UNVERSIONED, "0.0.1"))
    data_format.mark(tmp_path)
    assert data_format.read(tmp_path).number == FORMAT


@pytest.mark.parametrize("folder", ["", "not there"])
def test_data_without_the_file_is_older(tmp_path: Path, folder: str) -> None:
    found = data_format.read(tmp_path / folder)
    assert found == DataFormat(UNVERSIONED)
    data_format.check(found, "data")


@pytest.mark.parametrize("number", [UNVERSIONED, FORMAT])
def test_older_and_present_data_is_taken(tmp_path: Path, number: int) -> None:
    data_format.write(tmp_path, DataFormat(number, "any"))
    check_format(Layout(tmp_path))


def test_newer_data_is_refused_with_what_to_do(tmp_path: Path) -> None:
    data_format.write(tmp_path, DataFormat(FORMAT + 1, "7.1.0"))
    with pytest.raises(
        DataTooNew, match=r"written by Headworks 7\.1\.0 .*Install 7\.1\.0 or later, or restore a backup"
    ):
        data_format.check(data_format.read(tmp_path), "data")
    with pytest.raises(Refused, match=r"Nothing was changed"):
        check_format(Layout(tmp_path))


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", "3", "null", json.dumps({"format": 2}), json.dumps({"format": True, "headworks": "1"}),
     json.dumps({"format": 0, "headworks": "1"}), json.dumps({"format": 2.5, "headworks": "1"}),
     json.dumps({"format": 2, "headworks": 1}), "\xff\xfe"],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_no_old_data(tmp_path: Path, said: str) -> None:
    (tmp_path / "format.json").write_text(said, "latin-1")
    with pytest.raises(DataFormatUnreadable, match="backup"):
        data_format.read(tmp_path)
