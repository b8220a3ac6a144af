"""What it takes to make a collection equal to a source."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from headworks.retrieval.v1.document_pb2 import Document

from cli.documents.sources.source import FoundDocument, SourceScan, held
from cli.documents.sync_file import PathSpec
from cli.documents.sync_plan import SOURCE, SourcePlan, changes, make_plan
from services.runtime.media_types import DOCX

SPEC = PathSpec(name="guides", kind="folder", path="x", exclude=("drafts/*",))


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def found(name: str, text: str = "x", media_type: str = "text/html", **labels: str) -> FoundDocument:
    return FoundDocument(f"guides/{name}", f"file:///{name}", media_type, held(text.encode()), "", labels)


def stored(
    name: str, text: str = "x", source: str = "guides", media_type: str = "text/html", groups: Sequence[str] = (),
    **labels: str,
) -> Document:  # fmt: skip
    metadata = {**labels, **({SOURCE: source} if source else {})}
    return Document(
        id=f"guides/{name}", uri=f"file:///{name}", title=name, media_type=media_type, content_hash=hashed(text),
        metadata=metadata, access_groups=groups,
    )  # fmt: skip


@dataclass
class FakeSource:
    scanned: SourceScan
    known: Mapping[str, str] = field(default_factory=dict)

    def scan(self, known: Mapping[str, str], workspace: Path) -> SourceScan:
        self.known = known
        return self.scanned


def plan(documents: list[FoundDocument], before: list[Document], **options: bool) -> SourcePlan:
    scan = SourceScan(list(documents), complete=options.get("complete", True))
    return make_plan(SPEC, FakeSource(scan), before, Path(), options.get("even_empty", False))


def gone(made: SourcePlan) -> list[str]:
    return [document.id for document in made.gone]


class TestMakePlan:
    def test_what_is_gone_of_its_own_is_deleted_and_nothing_else(self) -> None:
        before = [stored("a"), stored("b"), stored("c", source=""), stored("d", source="other")]
        made = plan([found("a")], before)
        assert (gone(made), made.kept, made.doubt) == (["guides/b"], 0, "")
        assert made.documents[0].labels == {SOURCE: "guides"}

    def test_it_knows_its_own(self) -> None:
        source = FakeSource(SourceScan([found("a")]))
        make_plan(SPEC, source, [stored("a"), stored("b", source="other")], Path(), False)
        assert source.known == {"guides/a": hashed("x")}

    def test_a_source_that_was_not_seen_whole_deletes_nothing(self) -> None:
        made = plan([found("a")], [stored("a"), stored("b")], complete=False)
        assert (gone(made), made.kept, made.doubt) == ([], 1, "the source was not seen whole")

    def test_a_source_in_which_nothing_is_deletes_nothing_unless_that_is_meant(self) -> None:
        made = plan([], [stored("a"), stored("b")])
        assert (gone(made), made.kept, list(made.failures)) == ([], 2, ["guides"])
        assert gone(plan([], [stored("a")], even_empty=True)) == ["guides/a"]
        assert plan([], []).failures == {}

    def test_what_failed_is_not_gone(self) -> None:
        scan = SourceScan([found("a")], failures=[("guides/b", "its sidecar is broken")])
        made = make_plan(SPEC, FakeSource(scan), [stored("b"), stored("c")], Path(), False)
        assert gone(made) == ["guides/c"]

    def test_patterns_and_doubles(self) -> None:
        made = plan([found("a"), found("a"), found("drafts/b")], [stored("drafts/b")])
        assert [document.id for document in made.documents] == ["guides/a"]
        assert (gone(made), made.scan.skipped) == (["guides/drafts/b"], {"there twice": 1, "not included": 1})

    def test_what_another_source_has_stays_its(self) -> None:
        made = plan([found("a"), found("b")], [stored("a", source="other"), stored("b", source="")])
        assert [document.id for document in made.documents] == ["guides/b"]
        assert made.failures == {"guides/a": "the collection has it of the source 'other'"}


class TestChanges:
    @pytest.mark.parametrize(
        ("now", "before", "change"),
        [
            (found("a"), None, "created"),
            (found("a", "y"), stored("a"), "replaced"),
            (found("a"), stored("a"), "unchanged"),
            (found("a", team="hydro"), stored("a"), "relabelled"),
            (found("a"), stored("a", team="hydro"), "relabelled"),
            (
                found("a", media_type="text/markdown"),
                stored("a", media_type="text/markdown", of="front matter"),
                "unchanged",
            ),
            (found("a", media_type=DOCX), stored("a", media_type=DOCX, author="Ada"), "unchanged"),
            (found("a"), stored("a", source=""), "relabelled"),
            (found("a"), stored("a", groups=("hr", "staff")), "relabelled"),
        ],
    )
    def test_kinds(self, now: FoundDocument, before: Document | None, change: str) -> None:
        made = plan([now], [before] if before else [])
        found_changes = changes(made, {before.id: before} if before else {})
        assert {name for name, ids in found_changes.items() if ids} == {change}
        assert made.documents[0].content_hash == hashed("y" if change == "replaced" else "x")

    def test_groups_in_another_order_are_the_same(self) -> None:
        made = plan([found("a")], [])
        made.groups = ("staff", "hr")
        before = stored("a", groups=("hr", "staff"))
        assert changes(made, {before.id: before})["unchanged"] == [before.id]

    def test_a_document_that_cannot_be_read_fails(self, tmp_path: Path) -> None:
        document = FoundDocument("guides/a", "", "text/html", (tmp_path / "none").open)  # type: ignore[arg-type]
        made = plan([document], [])
        assert not any(changes(made, {}).values())
        assert (made.documents, made.failures) == ([], {"guides/a": "No such file or directory"})
