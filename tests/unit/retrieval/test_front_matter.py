"""What a Markdown document says of itself before its text."""

import pytest

from services.retrieval.ingest.digest import digest
from services.retrieval.ingest.front_matter import MOST_BYTES, FrontMatter, read_front_matter
from services.runtime.labels import LONGEST_VALUE, MOST, filled

MARKDOWN = "text/markdown"


class TestReadFrontMatter:
    def test_a_title_and_labels_as_they_are_written(self) -> None:
        text = (
            "---\ntitle:  The  gate\ndate: 2024-01-02\ndraft: no\nversion: 1.10\ntags: [a, b]\n"
            "nested: {a: 1}\nempty:\nheadworks.source: mine\nsubject: ann\n---\n# Text\n"
        )
        found = read_front_matter(text.encode())
        assert found.title == "The gate"
        assert found.labels == {"date": "2024-01-02", "draft": "no", "version": "1.10", "tags": "a, b"}
        assert text.encode()[found.length :] == b"# Text\n"

    @pytest.mark.parametrize("text", ["\ufeff---\na: 1\n---\nx", "---\r\na: 1\r\n---\r\nx", "---  \na: 1\n...\nx"])
    def test_its_forms(self, text: str) -> None:
        found = read_front_matter(text.encode())
        assert (found.labels, text.encode()[found.length :]) == ({"a": "1"}, b"x")

    @pytest.mark.parametrize(
        "text",
        [
            "# Text", "text\n---\na: 1\n---\n", "---\na: 1\n", "---\njust a rule\n---\n", "---\n- a\n---\n",
            "---\n---\n", "---\nA rule: [\nand text\n---\n",
            "---\n? [a]\n: 1\n---\n", f"---\na: {'x' * MOST_BYTES}\n---\n", "---\na: !!python/name:os.system\n",
        ],
    )  # fmt: skip
    def test_what_is_text_like_any_other(self, text: str) -> None:
        assert read_front_matter(text.encode()) == FrontMatter()

    @pytest.mark.parametrize(
        ("block", "fault"),
        [
            ("title: Release: 2.0\ntags: [a\n", "line 2: mapping values are not allowed"),
            ("# ours\na: [\n  b\n- c\n", "line 6: "), ("a: 1\nb: &x [1]\nc: *x\n", "line 4: "),
            (f"a: {'[' * 200}{']' * 200}\n", "deep"), ("title: Gr\udcf6\udcdfe\n", "UTF-8"),
        ],
    )  # fmt: skip
    def test_what_fails_to_be_yaml_is_left_out_and_said(self, block: str, fault: str) -> None:
        data = f"---\n{block}---\nThe weir.".encode("utf-8", "surrogateescape")
        found = digest(MARKDOWN, data, 1000)
        assert (found.title, found.labels, found.text) == ("", {}, "The weir.")
        assert fault in found.warnings[0]

    def test_only_of_markdown(self) -> None:
        text = "---\ntitle: The gate\na: 1\n---\nThe weir."
        plain, markdown = (digest(media_type, text.encode(), 1000) for media_type in ("text/plain", MARKDOWN))
        assert (plain.title, plain.labels, plain.text) == ("", {}, text)
        assert (markdown.title, markdown.labels, markdown.text) == ("The gate", {"a": "1"}, "The weir.")

    def test_tags_make_nothing_but_text(self) -> None:
        found = read_front_matter(b"---\na: !!python/object/apply:os.getcwd []\nb: !!int 7\n---\n")
        assert found.labels == {"b": "7"}


class TestFilled:
    def test_what_is_there_stands(self) -> None:
        assert filled({"a": "1"}, {"a": "2", "b": "3"}) == {"a": "1", "b": "3"}

    def test_the_limits(self) -> None:
        full = {f"k{number}": "v" for number in range(MOST - 1)}
        others = {"long": "x" * (LONGEST_VALUE + 1), "": "x", "b\n": "x", "one": "1", "two": "2"}
        assert filled(full, others) == {**full, "one": "1"}
