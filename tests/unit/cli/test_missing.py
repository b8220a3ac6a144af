"""Which stored documents an ingestion may take for gone."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from headworks.retrieval.v1.document_pb2 import Document

from cli.documents.missing import MissingDocuments, SearchedPath, find_missing, is_gone, local_path
from cli.documents.scan import FileScan, find_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("docs/a.md", "docs/sub/b.md", "docs/sub/c.txt", "docs/other/d.md", "notes/e.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def stored(found: FileScan) -> list[Document]:
    return [Document(id=file.id, uri=file.path.absolute().as_uri()) for file in found.files]


def missing(before: list[Document], found: FileScan) -> MissingDocuments:
    return find_missing(before, {file.id: file for file in found.files}, found.searched)


def names(result: MissingDocuments) -> list[str]:
    return [document.id for document in result.gone]


class TestFindMissing:
    @pytest.mark.parametrize("arguments", [["docs"], ["."], ["docs/sub", "docs"], ["docs/**/*.md"], ["d*s"], ["*"]])
    def test_a_file_that_is_gone_from_where_was_looked(self, tree: Path, arguments: list[str]) -> None:
        before = stored(find_files(["docs"], tree))
        (tree / "docs/sub/b.md").unlink()
        result = missing(before, find_files(arguments, tree))
        assert (names(result), result.doubts) == (["docs/sub/b.md"], [])

    def test_a_whole_folder_that_is_gone(self, tree: Path) -> None:
        before = stored(find_files(["docs"], tree))
        for name in ("b.md", "c.txt"):
            (tree / "docs/sub" / name).unlink()
        (tree / "docs/sub").rmdir()
        result = missing(before, find_files(["docs"], tree))
        assert (names(result), result.doubts) == (["docs/sub/b.md", "docs/sub/c.txt"], [])

    def test_a_folder_that_is_a_file_now(self, tree: Path) -> None:
        before = stored(find_files(["docs"], tree))
        (tree / "docs/other/d.md").unlink()
        (tree / "docs/other").rmdir()
        (tree / "docs/other").write_text("a file")
        assert names(missing(before, find_files(["docs"], tree))) == ["docs/other/d.md"]

    @pytest.mark.parametrize(
        "arguments",
        [["docs/sub"], ["notes"], ["docs/a.md"], ["docs/*.md"], ["docs/**/*.txt"]],
    )
    def test_one_from_where_nobody_looked_is_kept(self, tree: Path, arguments: list[str]) -> None:
        before = stored(find_files(["docs"], tree))
        (tree / "docs/other/d.md").unlink()
        result = missing(before, find_files(arguments, tree))
        assert names(result) == []
        assert result.elsewhere

    def test_another_folder_of_the_same_name_is_elsewhere(self, tree: Path) -> None:
        before = stored(find_files(["docs"], tree))
        (tree / "notes/docs").mkdir()
        (tree / "notes/docs/a.md").write_text("another")
        result = missing(before, find_files(["docs"], tree / "notes"))
        assert (names(result), result.elsewhere) == ([], 3)

    def test_the_same_folder_from_another_one_finds_the_same_files_gone(self, tree: Path) -> None:
        before = stored(find_files(["docs"], tree))
        (tree / "docs/a.md").unlink()
        result = missing(before, find_files(["."], tree / "docs"))
        assert (names(result), result.there) == (["docs/a.md"], 3)

    @pytest.mark.parametrize(
        "uri", ["", "https://example.org/docs/z.md", "file://elsewhere/docs/z.md", "z.md", "file:"]
    )
    def test_one_that_came_from_no_file_of_this_machine_is_kept(self, tree: Path, uri: str) -> None:
        result = missing([Document(id="docs/z.md", uri=uri)], find_files(["docs"], tree))
        assert (names(result), result.elsewhere) == ([], 1)

    def test_what_is_there_but_not_taken_is_kept(self, tree: Path) -> None:
        (tree / "docs/named.log").write_text("named")
        (tree / "docs/.hidden.md").write_text("hidden")
        (tree / "docs/linked.md").symlink_to("a.md")
        before = stored(find_files(["docs/named.log", "docs/.hidden.md", "docs"], tree))
        (tree / "docs/a.md").write_bytes(b"now\0binary")
        (tree / "docs/linked.md").unlink()
        (tree / "docs/linked.md").symlink_to("nowhere")
        found = find_files(["docs"], tree)
        result = missing(before, found)
        assert found.skipped == {"binary": 1, "of another type": 1, "hidden": 1}
        assert (names(result), result.there) == ([], 4)

    @pytest.mark.parametrize("follow_links", [True, False])
    def test_what_is_below_a_link_that_leads_nowhere_is_kept(self, tree: Path, follow_links: bool) -> None:
        (tree / "docs/share").symlink_to(tree / "notes")
        before = stored(find_files(["docs"], tree, follow_links=True))
        assert "docs/share/e.md" in [document.id for document in before]
        (tree / "docs/share").unlink()
        (tree / "docs/share").symlink_to(tree / "not-mounted")
        result = missing(before, find_files(["docs"], tree, follow_links))
        assert (names(result), result.there) == ([], 1)

    def test_what_came_by_a_link_that_is_followed_no_more_is_kept(self, tree: Path) -> None:
        (tree / "docs/share").symlink_to(tree / "notes")
        before = stored(find_files(["docs"], tree, follow_links=True))
        result = missing(before, find_files(["docs"], tree))
        assert (names(result), result.there) == ([], 1)

    def test_a_file_found_by_two_paths_counts_for_both(self, tree: Path) -> None:
        found = find_files(["docs", "docs/sub", "docs/sub/*.md"], tree)
        assert [place.files for place in found.searched] == [4, 2, 1]


class TestDoubts:
    def test_a_path_with_nothing_in_it(self, tree: Path) -> None:
        before = stored(find_files(["docs", "notes"], tree))
        (tree / "notes/e.md").unlink()
        (tree / "notes/lost+found").mkdir()
        result = missing(before, find_files(["docs", "notes"], tree))
        assert names(result) == ["notes/e.md"]
        assert result.doubts == ["nothing to ingest was found in notes (1 document came from there)"]

    def test_an_empty_folder_below_one_that_is_not(self, tree: Path) -> None:
        before = stored(find_files(["docs"], tree))
        for name in ("b.md", "c.txt"):
            (tree / "docs/sub" / name).unlink()
        result = missing(before, find_files(["docs"], tree))
        assert result.doubts == [f"{tree}/docs/sub is empty (2 documents came from there)"]


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that everybody may look into, unlike pytest's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
def test_nothing_is_gone_from_a_folder_that_cannot_be_read(readable: Path, mode: int) -> None:
    folder = readable / "folder"
    folder.mkdir()
    folder.chmod(mode)
    os.seteuid(65534)
    try:
        assert not is_gone(folder / "a.md")
        assert not is_gone(folder / "sub/a.md")
        assert is_gone(readable / "a.md")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["ä b.md", "100%.md", "a#b?c.md", os.fsdecode(b"x\xff.md")])
def test_a_uri_comes_back_as_the_path_it_was_made_of(tmp_path: Path, name: str) -> None:
    assert local_path((tmp_path / name).as_uri()) == tmp_path / name
    assert local_path(f"file://{tmp_path}/sub/../x.md") == tmp_path / "x.md"


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/d/*.md", "/d/a.md", True),
        ("/d/*.md", "/d/e/a.md", False),
        ("/d/**/*.md", "/d/a.md", True),
        ("/d/**/*.md", "/d/e/f/a.md", True),
        ("/d/**/*.md", "/d/.git/a.md", False),
        ("/d/*", "/d/.a.md", False),
        ("/d/.*", "/d/.a.md", True),
        ("/d/[ab]?", "/d/ax/deep/c.md", True),
        ("/d/**", "/d/e/a.md", True),
        ("/e/*", "/d/a.md", False),
    ],
)
def test_patterns_cover_what_glob_would_find(pattern: str, path: str, covered: bool) -> None:
    assert SearchedPath(pattern, Path(pattern), pattern=True).covers(Path(path)) == covered
