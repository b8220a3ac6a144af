"""`headworks models check`: a catalogue's file, without a mesh."""

from pathlib import Path

import pytest

from cli import program
from services.llm.catalogue.file import parse
from tests.unit.llm.difficulty import made

GOOD = """
default: small
models:
  - {name: small, generator: openai, base_url: "https://llm.example/v1", api_key_env: NOT_SET, bare: true}
  - {name: own, generator: triton}
"""


def test_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(GOOD)
    assert program.run(["models", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file} is right: 2 models, 1 of them bare, default small\n"


def test_every_fault_of_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(GOOD + "    colour: red\n" + "currency: euro\n")
    assert program.run(["models", "check", str(file)]) == 1
    file.write_text(GOOD.replace("triton", "magic") + "currency: euro\n")
    assert program.run(["models", "check", str(file)]) == 1
    said = capsys.readouterr().err
    assert "line 5: models[1].generator" in said
    assert "line 6: currency" in said


def test_a_file_of_the_older_form_is_printed_in_todays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text("models:\n  small: {base_url: 'http://h/v1', input_price: 0.15, headers: {X-Team: search}}\n")
    assert program.run(["models", "check", str(file)]) == 0
    told = capsys.readouterr()
    (entry,) = parse(told.out, "told").entries
    assert (entry.name, entry.bare, entry.price.input_nanos, entry.headers) == (
        "small", True, 150_000_000, {"x-team": "search"},
    )  # fmt: skip
    assert "older form" in told.err


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert program.run(["models", "check", str(tmp_path / "none.yaml")]) == 2


def test_routes_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(GOOD + "routes:\n  - {name: steady, targets: [{model: small}, {model: own, order: 1}]}\n")
    assert program.run(["models", "check", str(file)]) == 0
    told = capsys.readouterr()
    assert "2 models, 1 of them bare, 1 route, default small" in told.out
    assert not told.err


def test_targets_that_are_not_in_the_file_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "models.yaml"
    file.write_text(GOOD + "routes:\n  - {name: steady, targets: [{model: small}, {model: smol}]}\n")
    assert program.run(["models", "check", str(file)]) == 0
    assert "to be served by the mesh itself: smol" in capsys.readouterr().err


def test_the_classifiers_of_routes_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "models.yaml"
    route = "{name: r, targets: [{model: small}, {model: own}], difficulty: {small: small, large: own, model: m.st}}"
    file.write_text(GOOD + f"routes:\n  - {route}\n")
    assert program.run(["models", "check", str(file)]) == 1
    assert f"route 'r': difficulty: {tmp_path / 'm.st'} cannot be read" in capsys.readouterr().err
    (tmp_path / "m.st").write_bytes(made.classifier().to_bytes())
    assert program.run(["models", "check", str(file)]) == 1
    assert "was trained for 'small' as the small and 'large' as the large" in capsys.readouterr().err
    file.write_text(file.read_text().replace("large: own", "large: large").replace("own", "large"))
    assert program.run(["models", "check", str(file)]) == 0
