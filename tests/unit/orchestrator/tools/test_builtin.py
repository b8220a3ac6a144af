"""The tools that need nobody else: the calculator, the time, search."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

import orjson
import pytest

from services.orchestrator.domain.document_filter import DocumentFilter
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Reason, ToolContext, ToolFailed
from services.orchestrator.tools.builtin.calculator import Calculator, evaluate, shown
from services.orchestrator.tools.builtin.current_time import CurrentTime
from services.orchestrator.tools.builtin.search import SearchTool
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime.errors import CollectionNotFound, Unavailable
from tests.fakes.agents import FakeRetriever
from tests.fakes.tools import CONTEXT, call


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1+2)*3", "9"),
        ("-7 // 2", "-4"),
        ("7 % 4", "3"),
        ("2 ** 10", "1024"),
        ("2 ** -1", "0.5"),
        ("0.1 + 0.2", "0.3"),
        ("10 / 4", "2.5"),
        ("sqrt(2)", "1.4142135623731"),
        ("max(1, 2, 3) + abs(-4)", "7"),
        ("round(pi, 2)", "3.14"),
        ("round(2.5)", "2"),
        ("factorial(20)", "2432902008176640000"),
        ("1_000_000 * 12", "12000000"),
        ("2 ** 4096 % 97", str(2**4096 % 97)),
        ("  1 +\t1 ", "2"),
    ],
)
def test_arithmetic(expression: str, value: str) -> None:
    assert shown(evaluate(expression)).startswith(value)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1 / 0", "division by zero"),
        ("9 ** 9 ** 9", "too large"),
        ("2 ** 100000", "too large"),
        ("(2 ** 8000) * (2 ** 8000)", "too large"),
        ("1e308 * 10", "too large"),
        ("exp(1000)", "too large"),
        ("factorial(10 ** 6)", "factorial takes"),
        ("factorial(2.5)", "factorial takes"),
        ("round(5, -10 ** 9)", "round takes"),
        ("sqrt(-1)", "math domain error"),
        ("(-1) ** 0.5", "no real number"),
        ("2 ^ 3", "powers are written **"),
        ("__import__('os').system('true')", "not allowed"),
        ("().__class__", "not allowed"),
        ("[1 for x in (1,)]", "not allowed"),
        ("'a' * 10 ** 9", "not allowed"),
        ("open('/etc/passwd')", "not allowed"),
        ("max(*(1, 2))", "not allowed"),
        ("max(1, key=2)", "not allowed"),
        ("True + 1", "not allowed"),
        ("1 if 1 else 2", "not allowed"),
        ("sqrt(1, 2)", "argument"),
        ("1 +", "no expression"),
        ("a = 1", "no expression"),
        ("", "no expression"),
        ("(" * 300 + "1" + ")" * 300, ""),
        ("9" * 900 + "**" + "9" * 90, "too large"),
    ],
)
def test_what_is_no_arithmetic_is_refused_at_once(expression: str, words: str) -> None:
    with pytest.raises(ToolFailed) as caught:
        evaluate(expression)
    assert caught.value.reason == Reason.INVALID_ARGUMENTS
    assert words in caught.value.message


async def test_the_calculator_is_a_tool() -> None:
    result = await Toolbox([Calculator()]).call(call('{"expression": "6 * 7"}', "calculator"), CONTEXT)
    assert (result.content, result.is_error) == ("42", False)
    long = await Toolbox([Calculator()]).call(call(f'{{"expression": "{"1+" * 600}1"}}', "calculator"), CONTEXT)
    assert long.error_reason == Reason.INVALID_ARGUMENTS


def at_noon(zone: tzinfo) -> datetime:
    return datetime(2026, 7, 1, 12, tzinfo=UTC).astimezone(zone)


@pytest.mark.parametrize(
    ("arguments", "time", "weekday"),
    [
        ({}, "2026-07-01T12:00:00+00:00", "Wednesday"),
        ({"zone": "Asia/Tokyo"}, "2026-07-01T21:00:00+09:00", "Wednesday"),
        ({"zone": "Pacific/Auckland"}, "2026-07-02T00:00:00+12:00", "Thursday"),
    ],
)
async def test_the_time_in_a_zone(arguments: Mapping[str, Any], time: str, weekday: str) -> None:
    told = orjson.loads(await CurrentTime(at_noon).call(arguments, CONTEXT))
    assert (told["time"], told["weekday"], told["unix"]) == (time, weekday, 1782907200)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe", "x\0y"])
async def test_a_zone_that_is_none(zone: str) -> None:
    with pytest.raises(ToolFailed, match="no time zone"):
        await CurrentTime().call({"zone": zone}, CONTEXT)


def passage(name: str, score: float) -> Passage:
    return Passage(name, f"d-{name}", f"Title {name}", "file:///x", f"Text {name}.", 0, score)


async def test_search_numbers_what_it_finds() -> None:
    retriever = FakeRetriever(Found((passage("a", 0.9), passage("b", 0.5))))
    told = orjson.loads(await SearchTool(retriever).call({"query": "why?", "limit": 2}, CONTEXT))
    assert retriever.asked == [("docs", "why?", 2)]
    assert [(one["number"], one["id"], one["title"], one["text"]) for one in told["passages"]] == [
        (1, "a", "Title a", "Text a."), (2, "b", "Title b", "Text b."),
    ]  # fmt: skip
    assert told["passages"][0]["document_id"] == "d-a"
    assert told["passages"][0]["collection"] == "docs"


async def test_search_merges_collections_by_score() -> None:
    class Two:
        async def search(
            self, collection: str, question: str, limit: int, only: DocumentFilter, rerank: int = 0
        ) -> Found:
            return Found((passage(f"{collection}1", 0.9 if collection == "x" else 0.8), passage(f"{collection}2", 0.1)))

    context = ToolContext("t", "r", "c", ("x", "y"))
    told = orjson.loads(await SearchTool(Two()).call({"query": "q", "limit": 3}, context))
    assert [one["id"] for one in told["passages"]] == ["x1", "y1", "x2"]
    only = orjson.loads(await SearchTool(Two()).call({"query": "q", "collection": "y"}, context))
    assert [one["id"] for one in only["passages"]] == ["y1", "y2"]


async def test_search_reranks_what_the_agent_has_reranked() -> None:
    retriever = FakeRetriever()
    await SearchTool(retriever).call({"query": "q"}, replace(CONTEXT, rerank=30))
    assert retriever.reranked == [30]


@pytest.mark.parametrize(
    ("context", "arguments"),
    [(ToolContext("t", "r", "c"), {"query": "q"}), (CONTEXT, {"query": "q", "collection": "others"})],
)
async def test_only_the_agents_collections_are_searched(context: ToolContext, arguments: Mapping[str, Any]) -> None:
    retriever = FakeRetriever()
    with pytest.raises(ToolFailed) as caught:
        await SearchTool(retriever).call(arguments, context)
    assert (caught.value.reason, retriever.asked) == (Reason.NOT_ALLOWED, [])


@pytest.mark.parametrize(("error", "retryable"), [(CollectionNotFound("docs"), False), (Unavailable("gone"), True)])
async def test_what_retrieval_says_is_told(error: Exception, retryable: bool) -> None:
    with pytest.raises(ToolFailed) as caught:
        await SearchTool(FakeRetriever(error=error)).call({"query": "q"}, CONTEXT)
    assert caught.value.retryable is retryable
