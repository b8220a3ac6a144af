"""`headworks sync` on a collection in memory: what it sends, and what it reports."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from cli.documents.sync import SourceReport, sync_source
from cli.documents.sync_file import parse_sync_file
from cli.options import MeshOptions
from tests.fakes.collection import FakeCollection, Refused
from tests.unit.cli.sources.making import packed, unpacked

ON = MeshOptions(None, None, None, 30, True)


class Syncing:
    """Synchronizes one source after the other with a collection."""

    def __init__(self, here: Path) -> None:
        self.here = here
        self.collection = FakeCollection()

    def __call__(self, spec: str, *, dry_run: bool = False, even_empty: bool = False) -> SourceReport:
        (source,) = parse_sync_file(f"sources:\n  - {{{spec}}}\n").sources
        client: Any = self.collection
        self.collection.sent.clear()
        return sync_source(client, source, "docs", self.here, dry_run, even_empty, ON)


@pytest.fixture
def sync(tmp_path: Path) -> Syncing:
    return Syncing(tmp_path)


def counts(report: SourceReport) -> dict[str, int]:
    """Those that are not 0."""
    found = report.as_json()
    names = ("created", "replaced", "relabelled", "unchanged", "deleted", "failed", "kept")
    return {name: found[name] for name in names if found.get(name)}


GUIDES = "name: guides, kind: folder, path: guides"


def test_a_folder_is_kept_equal(sync: Syncing) -> None:
    unpacked(sync.here / "guides", {"a.md": "alpha", "b.md": "beta", "c.txt": "gamma"})
    assert counts(sync(GUIDES, dry_run=True)) == {"created": 3}
    assert sync.collection.documents == {}
    assert counts(sync(GUIDES)) == {"created": 3}
    assert dict(sync.collection.documents["guides/a.md"].metadata) == {"headworks.source": "guides"}
    assert counts(sync(GUIDES)) == {"unchanged": 3}
    assert sync.collection.sent == []
    (sync.here / "guides/a.md").write_text("alpha again")
    (sync.here / "guides/b.md").unlink()
    unpacked(sync.here / "guides", {"d.md": "delta", "c.txt.meta.yaml": "team: hydro"})
    expected = {"created": 1, "replaced": 1, "relabelled": 1, "deleted": 1}
    assert counts(sync(GUIDES, dry_run=True)) == expected
    report = sync(GUIDES)
    assert counts(report) == expected
    assert sync.collection.sent == ["guides/a.md", "guides/d.md"]
    assert report.changes["deleted"] == ["guides/b.md"]
    assert set(sync.collection.documents) == {"guides/a.md", "guides/c.txt", "guides/d.md"}


def test_labels_that_are_taken_away_are_gone(sync: Syncing) -> None:
    unpacked(sync.here / "guides", {"a.md": "alpha", "b.txt": "beta"})
    sync(f"{GUIDES}, labels: {{team: hydro}}")
    assert counts(sync(GUIDES)) == {"relabelled": 2}
    assert [dict(each.metadata) for each in sync.collection.documents.values()] == [{"headworks.source": "guides"}] * 2


def test_what_the_service_refuses_fails_and_is_no_change(sync: Syncing) -> None:
    unpacked(sync.here / "guides", {"a.md": "alpha", "b.md": "beta"})
    sync.collection.refused = {"guides/b.md"}
    report = sync(GUIDES)
    assert (counts(report), report.failures, report.failed) == (
        {"created": 1, "failed": 1}, {"guides/b.md": "it is refused"}, True,
    )  # fmt: skip


def test_a_source_that_is_not_there_deletes_nothing(sync: Syncing) -> None:
    unpacked(sync.here / "guides", {"a.md": "alpha"})
    sync(GUIDES)
    (sync.here / "guides/a.md").unlink()
    report = sync(GUIDES)
    assert (counts(report), "add --yes" in report.doubt) == ({"failed": 1, "kept": 1}, True)
    (sync.here / "guides").rmdir()
    assert "not mounted" in sync(GUIDES).error
    assert set(sync.collection.documents) == {"guides/a.md"}
    (sync.here / "guides").mkdir()
    assert counts(sync(GUIDES, even_empty=True)) == {"deleted": 1}
    assert sync.collection.documents == {}


def test_a_subfolder_that_has_become_empty_deletes_nothing(sync: Syncing) -> None:
    unpacked(sync.here / "guides", {"a.md": "alpha", "b.md": "beta", "share/c.md": "gamma"})
    sync(GUIDES)
    (sync.here / "guides/b.md").unlink()
    (sync.here / "guides/share/c.md").unlink()
    report = sync(GUIDES)
    assert counts(report) == {"unchanged": 1, "failed": 1, "kept": 2}
    assert f"{sync.here}/guides/share is empty (1 document came from there)" in report.doubt
    assert "add --yes" in report.failures["guides"]
    assert set(sync.collection.documents) == {"guides/a.md", "guides/b.md", "guides/share/c.md"}
    assert counts(sync(GUIDES, even_empty=True)) == {"unchanged": 1, "deleted": 2}


def test_a_subfolder_that_is_gone_is_deleted(sync: Syncing) -> None:
    unpacked(sync.here / "guides", {"a.md": "alpha", "share/c.md": "gamma"})
    sync(GUIDES)
    (sync.here / "guides/share/c.md").unlink()
    (sync.here / "guides/share").rmdir()
    assert counts(sync(GUIDES)) == {"unchanged": 1, "deleted": 1}


def test_a_collection_that_is_not_to_be_written_is_one_sources_failure(sync: Syncing) -> None:
    unpacked(sync.here / "guides", {"a.md": "alpha"})
    sync.collection.error = Refused(grpc.StatusCode.PERMISSION_DENIED)
    report = sync(GUIDES)
    assert (report.error, report.changes, report.failed) == ("the call ended with PERMISSION_DENIED", {}, True)
    sync.collection.error = Refused(grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(Refused):
        sync(GUIDES)


def test_a_page_of_an_export_of_jira_deletes_nothing(sync: Syncing) -> None:
    issues = "name: issues, kind: jira, path: issues.json"
    page = sync.here / "issues.json"
    page.write_text(
        '{"startAt": 0, "total": 2, "issues": [{"key": "P-1", "fields": {}}, {"key": "P-2", "fields": {}}]}'
    )
    assert counts(sync(issues)) == {"created": 2}
    page.write_text('{"startAt": 0, "maxResults": 1, "total": 2, "issues": [{"key": "P-1", "fields": {}}]}')
    report = sync(issues)
    assert (counts(report), report.doubt) == (
        {"unchanged": 1, "failed": 1, "kept": 1}, "the source was not seen whole",
    )  # fmt: skip
    assert "1 of the 2 issues" in report.failures["issues.json"]
    page.write_text('{"startAt": 0, "total": 1, "issues": [{"key": "P-1", "fields": {}}]}')
    assert counts(sync(issues)) == {"unchanged": 1, "deleted": 1}


def test_archives_and_exports(sync: Syncing) -> None:
    packed(sync.here / "files.zip", {"a.md": "zipped"})
    packed(sync.here / "space.zip", {"S/index.html": "x", "S/P_1.html": '<div id="main-content">wiki</div>'})
    (sync.here / "issues.csv").write_text("Issue key,Summary\nHYD-1,Gate sticks\n")
    for spec in ("files, kind: zip, path: files.zip", "wiki, kind: confluence, path: space.zip",
                 "issues, kind: jira, path: issues.csv"):  # fmt: skip
        assert counts(sync(f"name: {spec}")) == {"created": 1}
        assert counts(sync(f"name: {spec}")) == {"unchanged": 1}
    assert set(sync.collection.documents) == {"files/a.md", "wiki/S/P_1.html", "issues/HYD-1"}
    packed(sync.here / "files.zip", {"b.md": "zipped anew"})
    assert counts(sync("name: files, kind: zip, path: files.zip")) == {"created": 1, "deleted": 1}
    (sync.here / "files.zip").write_bytes(b"PK\x03\x04 broken")
    assert "no zip file" in sync("name: files, kind: zip, path: files.zip").error
    assert "files/b.md" in sync.collection.documents
