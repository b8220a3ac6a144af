"""The strict reader of YAML: what it takes, what it refuses, and where it says that the fault is."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from services.runtime.strict_yaml import BadYaml, Problem, dotted, read


def test_every_field_has_its_line() -> None:
    document = read("a: 1\nb:\n  - c: x\n    d: |\n      one\n")
    assert document.data == {"a": 1, "b": [{"c": "x", "d": "one\n"}]}
    assert [document.line(path) for path in [("a",), ("b",), ("b", 0, "c"), ("b", 0, "d"), ("b", 0, "none")]] == [
        1, 2, 3, 5, 3,
    ]  # fmt: skip


def test_an_empty_text_has_no_data() -> None:
    assert (read("").data, read("# nothing\n").data, read("").line(("a",))) == (None, None, 0)


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        ("a: 1\na: 2", 2, "a", "there twice"),
        ("a: {b: [1, {c: 1, c: 2}]}", 1, "a.b[1].c", "there twice"),
        ("a: &x 1\nb: *x", 2, "", "aliases"),
        ("? [a]\n: b", 1, "", "a key must be a word"),
        ("a: " + "[" * 60 + "]" * 60, 1, "", "nested too deeply"),
        ("a: [", 1, "", "not YAML"),
        ("a: !!python/object/apply:os.system [ls]", 1, "a", "not YAML"),
        ("a: !!python/object:os.system x", 1, "", "not YAML"),
        ("a: \x00", 0, "", "not YAML"),
        ("a: 2025-99-99", 0, "", "not YAML"),
        ("[" * 5000, 1, "", "not YAML"),
        ("a: 1\n---\nb: 2", 2, "", "not YAML"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_refused(text: str, line: int, field: str, words: str) -> None:
    with pytest.raises(BadYaml) as caught:
        read(text)
    problem = caught.value.problems[0]
    assert (problem.line, problem.field) == (line, field)
    assert words in problem.message


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int
    schema_: str = ""


def test_what_a_model_refuses_is_named_by_line_and_field() -> None:
    document = read("steps: many\nschema: 3\ncolour: red\n")
    with pytest.raises(ValidationError) as caught:
        Form.model_validate({"steps": "many", "schema_": 3, "colour": "red"})
    assert document.problems(caught.value, {"schema_": "schema"}) == [
        Problem("steps", "must be a whole number", 1),
        Problem("schema", "must be a text", 2),
        Problem("colour", "there is no such field", 3),
    ]


def test_a_path_for_people() -> None:
    assert (dotted(("a", 0, "b")), dotted(()), str(Problem("a", "no", 3))) == ("a[0].b", "", "line 3, a: no")
