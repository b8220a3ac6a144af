"""Which files an ingestion takes."""

import os
from pathlib import Path

import pytest

from cli.documents.scan import FileScan, document_id, find_files
from services.retrieval.errors import DocumentUnreadable
from services.retrieval.ingest.text import decode


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    here = tmp_path / "here"
    files = {
        "a.md": "# A",
        "b.TXT": "b",
        "sub/c.html": "<p>c",
        "sub/deep/d.pdf": "%PDF-1.4 \0",
        "sub/notes.log": "other type",
        "sub/binary.txt": "a\0b",
        ".hidden.md": "hidden",
        ".git/e.md": "hidden folder",
    }
    for name, text in files.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    return here


def ids(found: FileScan) -> list[str]:
    return [file.id for file in found.files]


def test_a_folder_is_taken_whole_but_for_what_is_hidden_binary_or_of_another_type(tree: Path) -> None:
    found = find_files(["."], tree)
    assert ids(found) == ["a.md", "b.TXT", "sub/c.html", "sub/deep/d.pdf"]
    assert found.skipped == {"hidden": 2, "binary": 1, "of another type": 1}
    assert [file.media_type for file in found.files] == [
        "text/markdown", "text/plain", "text/html", "application/pdf",
    ]  # fmt: skip
    assert found.complete


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a.md"], ["a.md"]),
        (["a.md", "./a.md", "sub/../a.md"], ["a.md"]),
        (["*.md"], ["a.md"]),
        (["**/*.html", "a.md"], ["a.md", "sub/c.html"]),
        (["s*b"], ["sub/c.html", "sub/deep/d.pdf"]),
        (["sub/notes.log"], ["sub/notes.log"]),
        ([".hidden.md"], [".hidden.md"]),
        ([".git"], [".git/e.md"]),
    ],
)
def test_files_folders_and_globs(tree: Path, arguments: list[str], expected: list[str]) -> None:
    assert ids(find_files(arguments, tree)) == expected


def test_a_file_outside_is_named_by_its_absolute_path(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("o")
    assert ids(find_files(["../outside.txt"], tree)) == [outside.as_posix()]
    assert document_id(tree / "sub" / ".." / "a.md", tree) == "a.md"


def test_what_is_not_there_is_told_apart(tree: Path) -> None:
    found = find_files(["nothing", "*.none", "a.md"], tree)
    assert found.missing == ["nothing", "*.none"]
    assert ids(found) == ["a.md"]


def test_loops_of_links_end(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to("..", target_is_directory=True)
    (tree / "self").symlink_to("self")
    found = find_files(["."], tree)
    assert ids(found) == ["a.md", "b.TXT", "sub/c.html", "sub/deep/d.pdf"]


def test_a_broken_link_is_reported_and_the_rest_taken(tree: Path) -> None:
    (tree / "gone.md").symlink_to("nowhere.md")
    found = find_files(["."], tree)
    assert [name for name, _ in found.unreadable] == ["gone.md"]
    assert not found.complete
    assert "a.md" in ids(found)


def test_a_link_that_may_not_be_read_is_reported_and_the_rest_taken(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "cwd.md").symlink_to("a.md")
    real = os.path.realpath

    def refused(path: str) -> str:
        if str(path).endswith("cwd.md"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os.path, "realpath", refused)
    found = find_files(["."], tree)
    assert [(Path(name).name, why) for name, why in found.unreadable] == [("cwd.md", "Permission denied")]
    assert "a.md" in ids(found)


def test_a_name_that_is_not_utf8_is_reported(tree: Path) -> None:
    try:
        (tree / os.fsdecode(b"bad\xff.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes no such names")
    found = find_files(["."], tree)
    assert [reason for _, reason in found.unreadable] == ["its name is not valid UTF-8"]


def test_a_pipe_is_not_read(tree: Path) -> None:
    os.mkfifo(tree / "sub" / "pipe.txt")
    assert find_files(["sub"], tree).skipped == {"not a file": 1, "binary": 1, "of another type": 1}


@pytest.mark.parametrize("arguments", [["{}"], [".", "{}"], ["{}", "**/*"], ["*", "{}"]])
@pytest.mark.parametrize(
    ("name", "why"), [("sub/binary.txt", "it is binary"), ("image", "it is binary"), ("pipe.txt", "it is not a file")]
)
def test_a_named_file_that_is_not_taken_is_a_failure(tree: Path, arguments: list[str], name: str, why: str) -> None:
    os.mkfifo(tree / "pipe.txt")
    (tree / "image").write_bytes(b"\x89PNG\0")
    found = find_files([argument.format(name) for argument in arguments], tree)
    assert found.not_taken == [(name, why)]
    assert name not in ids(found)


@pytest.fixture
def linked(tree: Path, tmp_path: Path) -> Path:
    """Links out of the tree, and within it."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.md").write_text("hw_secret")
    (tree / "sub" / "key.md").symlink_to(tmp_path / "secret" / "key.md")
    (tree / "sub" / "up").symlink_to("../../secret")
    (tree / "twice").symlink_to("sub/up")
    (tree / "again.md").symlink_to("a.md")
    (tree / "alias").symlink_to("sub")
    return tree


INSIDE = ["a.md", "again.md", "b.TXT", "sub/c.html", "sub/deep/d.pdf"]


@pytest.mark.parametrize(
    ("arguments", "expected", "left"),
    [
        (["."], INSIDE, ["sub/key.md", "sub/up", "twice"]),
        (["**/*"], INSIDE, ["sub/key.md", "sub/up", "twice"]),
        (["**/*.md"], ["a.md", "again.md"], ["sub/key.md", "sub/up", "twice"]),
        (["sub"], ["sub/c.html", "sub/deep/d.pdf"], ["sub/key.md", "sub/up"]),
        (["sub/*.md"], [], ["sub/key.md"]),
        (["s*/up/*.md"], [], ["sub/up"]),
        (["*/../../secret/*"], [], ["twice"]),
    ],
)
def test_links_out_of_a_folder_are_left_and_named(
    linked: Path, arguments: list[str], expected: list[str], left: list[str]
) -> None:
    found = find_files(arguments, linked)
    assert ids(found) == expected
    assert sorted(found.links) == left
    assert found.skipped.get("links out of their folder", 0) == len(left)


def test_links_out_of_a_folder_are_followed_where_that_is_asked(linked: Path) -> None:
    found = find_files(["."], linked, follow_links=True)
    assert ids(found) == [*INSIDE, "sub/key.md", "twice/key.md"]
    assert not found.links


def test_what_is_named_is_taken_though_it_is_a_link(linked: Path) -> None:
    assert ids(find_files(["sub/key.md"], linked)) == ["sub/key.md"]
    assert ids(find_files(["sub/up"], linked)) == ["sub/up/key.md"]
    assert ids(find_files(["sub/up/*.md"], linked)) == ["sub/up/key.md"]


@pytest.mark.parametrize("follow_links", [False, True])
@pytest.mark.parametrize("argument", [".", "**/*.md", "**/**/*", "*/*/*/*.md", "**"])
def test_loops_of_links_end_however_many_there_are(tree: Path, argument: str, follow_links: bool) -> None:
    for number in range(12):
        (tree / f"loop{number}").symlink_to(".", target_is_directory=True)
        (tree / "sub" / f"back{number}").symlink_to(tree, target_is_directory=True)
    found = ids(find_files([argument], tree, follow_links))
    assert found == [name for name in ("a.md", "b.TXT", "sub/c.html", "sub/deep/d.pdf") if name in found]
    assert found or argument == "*/*/*/*.md"


def test_loops_outside_end_where_links_are_followed(tree: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.md").write_text(name)
        (tmp_path / name / "other").symlink_to(tmp_path / ("two" if name == "one" else "one"))
    (tree / "out").symlink_to(tmp_path / "one")
    assert [name for name in ids(find_files(["."], tree, follow_links=True)) if name.startswith("out")] == [
        "out/one.md", "out/other/two.md",
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-8"])
def test_text_with_a_mark_is_text_in_every_encoding_that_the_service_reads(tmp_path: Path, encoding: str) -> None:
    text = "A dam holds water back. 水坝。" * 1000
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert ids(find_files(["."], tmp_path)) == ["a.txt"]
    assert decode((tmp_path / "a.txt").read_bytes()).text == text


@pytest.mark.parametrize(
    "data",
    [b"a\0b", b"\xff\xfea\0\0\0", b"\xfe\xff\0a\0\0", "a\0".encode("utf-32"), b"a\0" * 5000, "dam".encode("utf-16-le")],
)
def test_what_is_skipped_as_binary_the_service_cannot_read_either(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert find_files(["."], tmp_path).skipped == {"binary": 1}
    with pytest.raises(DocumentUnreadable):
        decode(data)
