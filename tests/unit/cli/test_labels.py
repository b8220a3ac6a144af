"""Labels of documents, by --meta and by sidecars; and what --filter makes of them."""

from pathlib import Path

import click
import pytest
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from cli.documents.filters import make_filter
from cli.documents.labels import BadLabels, Labelled, parse_labels, parse_sidecar, read_sidecar
from cli.documents.scan import find_files
from cli.documents.upload import Requests


class TestParseLabels:
    def test_pairs(self) -> None:
        assert parse_labels(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}

    @pytest.mark.parametrize(
        ("pairs", "why"),
        [
            (["a"], "write KEY=VALUE"), (["=x"], "write KEY=VALUE"), (["a=1", "a=2"], "there twice"),
            (["x" * 65 + "=1"], "1 to 64 printable"), (["a\n=1"], "1 to 64 printable"),
            (["a=" + "x" * 1025], "more than 1024"), ([f"k{n}=v" for n in range(33)], "at most 32"),
            (["headworks.source=x"], "Headworks' own"),
        ],
    )  # fmt: skip
    def test_what_is_no_label(self, pairs: list[str], why: str) -> None:
        with pytest.raises(BadLabels, match=why):
            parse_labels(pairs)


class TestSidecars:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.md.meta.yaml", "title: The gate\ndepartment: hydro\nyear: 2026\ndraft: no\n"
                               "tags: [a, b]\nday: 2026-01-02"),
            ("a.md.meta.json", '{"title": "The gate", "department": "hydro", "year": 2026, "draft": false, '
                               '"tags": ["a", "b"], "day": "2026-01-02", "none": null}'),
        ],
    )  # fmt: skip
    def test_what_they_say(self, name: str, text: str) -> None:
        labels = {"department": "hydro", "year": "2026", "draft": "false", "tags": "a, b", "day": "2026-01-02"}
        assert parse_sidecar(name, text.encode()) == Labelled("The gate", labels)

    @pytest.mark.parametrize(
        ("name", "text", "why"),
        [
            ("a.meta.yaml", "- a", "no mapping"), ("a.meta.yaml", "a: {b: 1}", "a is neither"),
            ("a.meta.yaml", "a: 1\na: 2", "line 2, a: this key is there twice"), ("a.meta.json", "{", "a.meta.json: "),
            ("a.meta.yaml", "headworks.source: x", "Headworks' own"), ("a.meta.yaml", "a: &x 1\nb: *x", "aliases"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_one(self, name: str, text: str, why: str) -> None:
        with pytest.raises(BadLabels, match=why):
            parse_sidecar(name, text.encode())

    def test_two_are_one_too_many(self, tmp_path: Path) -> None:
        for ending in ("yaml", "json"):
            (tmp_path / f"a.md.meta.{ending}").write_text("{}")
        with pytest.raises(BadLabels, match=r"both a\.md\.meta\.yaml and a\.md\.meta\.json"):
            read_sidecar(tmp_path / "a.md")

    def test_they_go_with_their_files_and_are_none(self, tmp_path: Path) -> None:
        for name, text in {
            "a.md": "text", "a.md.meta.yaml": "title: The gate\nteam: mine\nlang: en", "b.md": "text",
            "b.md.meta.json": "{", "c.txt": "text",
        }.items():  # fmt: skip
            (tmp_path / name).write_text(text)
        found = find_files(["."], tmp_path, labels={"team": "hydro"})
        a, c = found.files
        assert (a.id, a.title, a.labels) == ("a.md", "The gate", {"team": "hydro", "lang": "en"})
        assert (c.id, c.title, c.labels) == ("c.txt", "", {"team": "hydro"})
        assert (found.skipped, [name for name, _ in found.unreadable]) == ({"a sidecar": 2}, ["b.md"])
        sent = [each.document for each in Requests(pb.IngestOpen(), found.files, {}) if each.HasField("document")]
        assert (sent[0].title, dict(sent[0].metadata)) == ("The gate", {"team": "hydro", "lang": "en"})


class TestMakeFilter:
    def test_conditions(self) -> None:
        given = ("team=hydro", "team=gates", "media_type=text/html", "status!=draft", "metadata.a=b=c")
        assert make_filter(given) == pb.Filter(
            must=[
                pb.Condition(field="metadata.team", any_of=["hydro", "gates"]),
                pb.Condition(field="media_type", any_of=["text/html"]),
                pb.Condition(field="metadata.a", any_of=["b=c"]),
            ],
            must_not=[pb.Condition(field="metadata.status", any_of=["draft"])],
        )

    @pytest.mark.parametrize("condition", ["team", "=x", "!=x", "team="])
    def test_what_is_none(self, condition: str) -> None:
        with pytest.raises(click.UsageError, match="write KEY=VALUE"):
            make_filter((condition,))
