"""Archives: which entries they have, and which archives are refused."""

import stat
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cli.documents.sources.archive import LIMITS as USUAL
from cli.documents.sources.archive import open_archive
from cli.documents.sources.files import ZipSource
from cli.documents.sources.source import BadSource
from tests.unit.cli.sources.making import contents, packed, unpacked, workspace

LIMITS = replace(USUAL, entries=3, total_bytes=100 << 20, ratio=50)


def link(path: Path, target: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link.md")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
        archive.writestr("file.md", "text")
    return path


def of_windows(path: Path, *names: str) -> Path:
    """A zip file as Windows makes it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.create_system = 0
            archive.writestr(info, "text")
    return path


class TestOpenArchive:
    @pytest.mark.parametrize("form", [packed, unpacked])
    def test_entries(self, tmp_path: Path, form: object) -> None:
        path = form(tmp_path / "export", {"a/b.md": "text", "c:d.txt": "more"})  # type: ignore[operator]
        with open_archive(path) as archive:
            assert {name: entry.size for name, entry in archive.entries.items()} == {"a/b.md": 4, "c:d.txt": 4}
            with archive.open("a/b.md") as source:
                assert source.read() == b"text"

    def test_links_are_left(self, tmp_path: Path) -> None:
        with open_archive(link(tmp_path / "x.zip", "/etc/passwd")) as archive:
            assert (list(archive.entries), archive.links) == (["file.md"], 1)
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder/link.md").symlink_to("/etc/passwd")
        (tmp_path / "folder/dir").symlink_to("/etc")
        with open_archive(tmp_path / "folder") as archive:
            assert (list(archive.entries), archive.links) == ([], 2)

    @pytest.mark.parametrize("name", ["../x.md", "a/../../x.md", "/etc/x.md", "a\\..\\x.md", "C:/x.md", "a/.."])
    def test_names_that_lead_out(self, tmp_path: Path, name: str) -> None:
        path = packed(tmp_path / "x.zip", {name: "text"})
        with pytest.raises(BadSource, match="leads out of it"), open_archive(path):
            pass

    @pytest.mark.parametrize("name", ["..\\x.md", "\\x.md", "\\\\host\\x.md", "C:\\x.md", "C:x.md", "a\\..\\..\\x"])
    def test_names_of_windows_that_lead_out(self, tmp_path: Path, name: str) -> None:
        path = of_windows(tmp_path / "x.zip", name)
        with pytest.raises(BadSource, match="leads out of it"), open_archive(path):
            pass

    def test_names_of_windows(self, tmp_path: Path) -> None:
        with open_archive(of_windows(tmp_path / "x.zip", "b\\", "b\\win.md")) as archive:
            assert list(archive.entries) == ["b/win.md"]
            assert archive.open("b/win.md").read() == b"text"
        path = of_windows(tmp_path / "y.zip", "b\\win.md", "b/win.md")
        with pytest.raises(BadSource, match=r"'b/win\.md' is there twice"), open_archive(path):
            pass

    def test_a_backslash_in_a_name_of_another_system(self, tmp_path: Path) -> None:
        path = packed(tmp_path / "x.zip", {"b\\win.md": "text"})
        with pytest.raises(BadSource, match="has a backslash in its name: rename it"), open_archive(path):
            pass

    def test_names_that_are_there_twice(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.writestr("a.md", "one")
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("a.md", "two")
        with pytest.raises(BadSource, match="is there twice"), open_archive(tmp_path / "x.zip"):
            pass

    def test_encrypted_entries(self, tmp_path: Path) -> None:
        path = packed(tmp_path / "x.zip", {"a.md": "text"})
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\x01\x02") + 8
        data[at : at + 2] = struct.pack("<H", 1)
        path.write_bytes(data)
        with pytest.raises(BadSource, match="is encrypted"), open_archive(path):
            pass

    @pytest.mark.parametrize(
        ("files", "why"),
        [
            ({f"{number}.md": "x" for number in range(4)}, "4 entries; 3 are the most"),
            ({"a.md": b"\0" * (101 << 20)}, "unpacks to 105906176 bytes"),
            ({"a.md": b"\0" * (17 << 20)}, "more than 50 times its size"),
        ],
        ids=("entries", "total", "ratio"),
    )
    def test_bombs(self, tmp_path: Path, files: dict[str, str | bytes], why: str) -> None:
        with pytest.raises(BadSource, match=why), open_archive(packed(tmp_path / "x.zip", files), LIMITS):
            pass

    def test_an_entry_that_is_larger_than_it_says(self, tmp_path: Path) -> None:
        path = packed(tmp_path / "x.zip", {"a.md": "x" * 1000})
        data = bytearray(path.read_bytes())
        at = data.index(b"PK\x01\x02") + 24
        data[at : at + 4] = struct.pack("<I", 10)
        path.write_bytes(data)
        with pytest.raises(BadSource, match="no zip file that can be read"), open_archive(path) as archive:
            assert len(archive.open("a.md").read()) <= 10

    @pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"text"])
    def test_what_is_no_zip_file(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "x.zip").write_bytes(data)
        with pytest.raises(BadSource, match="no zip file"), open_archive(tmp_path / "x.zip"):
            pass
        with pytest.raises(BadSource, match="nothing is there"), open_archive(tmp_path / "none.zip"):
            pass


def test_the_files_of_a_zip_file(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.md": "# A", "a.md.meta.yaml": "title: The gate\nteam: mine\nlang: en", "sub/b.txt": "b", "c.png": b"x",
        "d.txt": b"\0\1", ".hidden/e.md": "e", "__MACOSX/a.md": "x", "f.md": "f", "f.md.meta.json": "[]",
    }  # fmt: skip
    source = ZipSource(packed(tmp_path / "x.zip", files), "x.zip/", {"team": "hydro"})
    scan = source.scan({}, workspace(tmp_path))
    assert contents(scan) == {"x.zip/a.md": "# A", "x.zip/sub/b.txt": "b"}
    first = scan.documents[0]
    assert (first.title, first.labels, first.media_type) == (
        "The gate", {"team": "hydro", "lang": "en"}, "text/markdown",
    )  # fmt: skip
    assert first.uri == f"file://{tmp_path}/x.zip#a.md"
    assert scan.skipped == {"a sidecar": 2, "of another type": 1, "binary": 1, "hidden": 2}
    assert [name for name, _ in scan.failures] == ["x.zip/f.md"]


def test_packed_bytes_that_are_broken(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", {"a.md": "text " * 1000})
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    with pytest.raises(BadSource, match="no zip file that can be read"), open_archive(path) as archive:
        archive.open("a.md").read()
