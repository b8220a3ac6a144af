"""Records of JSON and JSON lines as documents."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.documents.sources.make import sorted_out
from cli.documents.sources.records import RecordPaths, RecordsSource, media_type_of
from cli.documents.sources.source import BadSource
from cli.documents.sync_file import parse_sync_file
from tests.unit.cli.sources.making import contents, workspace

RECORDS: list[dict[str, Any]] = [
    {
        "key": "a",
        "subject": "Gate\n sticks",
        "fields": {"body": "It sticks.", "notes": ["cold", 4]},
        "who": [{"n": "Jo"}],
    },
    {"key": "b", "subject": None, "fields": {"body": "It leaks."}, "open": True},
]
PATHS = RecordPaths(("fields.body", "fields.notes"), "subject", "key", {"author": "who.0.n", "open": "open"})


def source(path: Path, paths: RecordPaths = PATHS, **labels: str) -> RecordsSource:
    return RecordsSource(path, "x/", paths, labels)


@pytest.mark.parametrize("name", ["all.json", "all.jsonl", "all.NDJSON", "nested.json"])
def test_each_is_a_document(tmp_path: Path, name: str) -> None:
    path, paths = tmp_path / name, PATHS
    if name == "nested.json":
        path.write_text(json.dumps({"data": {"items": RECORDS}}))
        paths = RecordPaths(PATHS.text, PATHS.title, PATHS.identity, PATHS.labels, "data.items")
    elif name == "all.json":
        path.write_text(json.dumps(RECORDS))
    else:
        path.write_text("\n\n".join(map(json.dumps, RECORDS)))
    scan = source(path, paths, team="dams").scan({}, workspace(tmp_path))
    assert (scan.complete, scan.failures, scan.skipped) == (True, [], {})
    assert contents(scan) == {"x/a": "It sticks.\n\ncold\n4", "x/b": "It leaks."}
    first, second = scan.documents
    assert (first.title, first.media_type, first.uri) == ("Gate sticks", "text/plain", f"{path.as_uri()}#a")
    assert (dict(first.labels), dict(second.labels)) == (
        {"team": "dams", "author": "Jo"}, {"team": "dams", "open": "true"},
    )  # fmt: skip


def test_what_is_no_document_is_counted_or_fails_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = ['{"key": "a", "t": "one"}', '{"key": "a", "t": "two"}', '{"key": "b"}', "7", '{"t": "none"}', "{broken"]
    path.write_text("\n".join(lines))
    scan = source(path, RecordPaths(("t",), identity="key")).scan({}, workspace(tmp_path))
    assert contents(scan) == {"x/a": "one"}
    assert scan.skipped == {"records that are there twice": 1, "records without a text": 2}
    assert [name for name, _ in scan.failures] == ["record 5", "line 6"]
    assert not scan.complete


def test_without_an_id_they_go_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"t": "# one"}, {"t": "two"}]')
    scan = source(path, RecordPaths(("t",), media_type=media_type_of("md"))).scan({}, workspace(tmp_path))
    assert {document.id: document.media_type for document in scan.documents} == {
        "x/1": "text/markdown", "x/2": "text/markdown",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"t": "x"}', "there is no list at its top"),
        ("[1, 2", "no valid JSON"),
        ('[{"other": 1}]', "no record has a text at t"),
        ("[]", "no record has a text at t"),
    ],
)
def test_what_has_no_records_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadSource, match=said):
        source(tmp_path / "a.json", RecordPaths(("t",))).scan({}, workspace(tmp_path))


def test_the_command_and_the_sync_file_make_the_same_source(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    paths = RecordPaths(("t",), "s", "k", {"by": "who.0"}, "data", "text/html")
    _, [(_, by_command)] = sorted_out(["a.json"], "records", tmp_path, {}, Any, paths)  # type: ignore[arg-type]
    text = (
        "sources:\n- {name: tickets, kind: records, path: a.json, text: [t], title: s, id: k, meta: {by: who.0}, "
        "list: data, format: html}\n"
    )
    by_file = parse_sync_file(text).sources[0].source(tmp_path)
    assert isinstance(by_command, RecordsSource)
    assert isinstance(by_file, RecordsSource)
    assert (by_command.path, by_command.paths) == (by_file.path, by_file.paths)
    assert (by_command.prefix, by_file.prefix) == ("a.json/", "tickets/")
    with pytest.raises(BadSource, match="--record-text"):
        sorted_out(["a.json"], "records", tmp_path, {}, Any)  # type: ignore[arg-type]
