"""What agents read is screened: passages once a search, tool results once a step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from services.llm.catalogue.entry import EngineKind
from services.orchestrator.agents.loop.screener import Item, Reading, ScreeningVerdict
from services.orchestrator.agents.loop.screening import UNCHECKED, parts, withheld
from services.orchestrator.domain.event import PassagesRetrieved, Span, VerdictGiven
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Reason, ToolResult
from services.runtime.errors import DomainError, InvalidArgument, PermissionDenied, Unavailable
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import FakeTool, calls, played, says, turns
from tests.unit.orchestrator.agents.making import ASK, agent, results

GOOD = Passage("p1", "d1", "Cats", "u", "Cats sleep.", 0, 0.9)
BAD = Passage("p2", "d2", "Dogs", "u", "an attack", 0, 0.8)
TITLED = replace(GOOD, id="p3", title="an attack")
ADDRESS = Passage("p4", "d4", "", "u", "Write to a@b.example. Bye.", 7, 0.7, sentences=(Span(0, 21), Span(22, 26)),
                  cosines=(0.5, 0.25))  # fmt: skip
ALWAYS = "retrieval: {mode: always}\n"


@dataclass
class FakeScreener:
    """Drops what says "attack", redacts an address; fails with `error`."""

    error: Exception | None = None
    shut: bool = True
    looks: bool = True
    asked: list[tuple[Reading, str, list[Item]]] = field(default_factory=list)

    def wanted(self) -> bool:
        return self.looks

    def closed(self, tools: bool) -> bool:
        return self.shut

    async def screen(
        self, reading: Reading, agent: str, items: Sequence[Item], models: Sequence[str] = ()
    ) -> list[ScreeningVerdict]:
        assert models, "whose policies count is to be known"
        self.asked.append((reading, agent, list(items)))
        if self.error is not None:
            raise self.error
        return [
            ScreeningVerdict(None, "injection", "PROMPT_INJECTION", 0.75)
            if "attack" in item.text
            else ScreeningVerdict(item.text.replace("a@b.example", "<EMAIL>"), "pii")
            for item in items
        ]


async def test_what_sentences_are_read_after_is_screened_too() -> None:
    """It may stand in another part of the document than the passage."""
    spans = (Span(0, 11),)
    attacked = replace(GOOD, id="p5", sentences=spans, leads=("an attack",))
    private = replace(GOOD, id="p6", sentences=spans, leads=("Of a@b.example",))
    kept = replace(GOOD, id="p7", sentences=spans, leads=("Of cats",))
    helper, generator = agent(
        lambda _: says("Yes."), ALWAYS, retriever=FakeRetriever(Found((attacked, private, kept))),
        screener=FakeScreener(), engine=EngineKind.EXTRACTIVE,
    )  # fmt: skip
    await played(helper, ASK)
    found = generator.asked[0].found
    assert found is not None
    assert [(one.id, one.leads) for one in found.passages] == [("p6", ()), ("p7", ("Of cats",))]


async def test_dropped_passages_are_not_read_and_told_of() -> None:
    screener = FakeScreener()
    retriever = FakeRetriever(Found((GOOD, BAD, TITLED)))
    helper, generator = agent(lambda _: says("Yes."), ALWAYS, retriever=retriever, screener=screener)
    got, outcome = await played(helper, ASK)
    (found,) = [body for body in got if isinstance(body, PassagesRetrieved)]
    assert [one.passage_id for one in found.passages] == ["p1"]
    assert "an attack" not in "".join(message.content for message in generator.asked[0].messages)
    verdicts = [body for body in got if isinstance(body, VerdictGiven)]
    assert [(one.grader, one.passed, one.score, one.attempt) for one in verdicts] == [
        ("guard:injection", False, 0.25, 0)
    ] * 2
    assert [one.reason for one in verdicts] == [f"passage {id_} left out: PROMPT_INJECTION" for id_ in ("p2", "p3")]
    assert len(screener.asked) == 1
    reading, name, items = screener.asked[0]
    assert (reading, name, len(items)) == (Reading.PASSAGE, "helper", 6)
    assert "guards" in [timing.hop for timing in outcome.timings]


async def test_a_redacted_passage_is_read_as_one_sentence() -> None:
    helper, generator = agent(
        lambda _: says("Yes."), ALWAYS, retriever=FakeRetriever(Found((ADDRESS,))), screener=FakeScreener()
    )
    await played(helper, ASK)
    said = "".join(message.content for message in generator.asked[0].messages)
    assert "Write to <EMAIL>. Bye." in said
    assert "a@b.example" not in said


@pytest.mark.parametrize(("dense", "cosine"), [(0.75, 0.75), (float("nan"), 0.5)])
async def test_a_redacted_passage_is_quoted_whole_by_its_own_cosine(dense: float, cosine: float) -> None:
    passage = replace(ADDRESS, dense=dense)
    helper, generator = agent(
        lambda _: says("Yes."), ALWAYS, retriever=FakeRetriever(Found((passage,))), screener=FakeScreener(),
        engine=EngineKind.EXTRACTIVE,
    )  # fmt: skip
    await played(helper, ASK)
    found = generator.asked[0].found
    assert found is not None
    (read,) = found.passages
    assert (read.text, read.sentences, read.cosines) == ("Write to <EMAIL>. Bye.", (Span(0, 22),), (cosine,))


async def test_graders_do_not_take_a_guard_s_verdict_for_theirs() -> None:
    spec = ALWAYS + "graders: [{answers: {judge: embeddings}}]\n"

    class Embeds:
        async def embed(self, texts: Sequence[str]) -> np.ndarray:  # type: ignore[type-arg]  # float32 [n, 384]
            return np.eye(len(texts), 384, dtype=np.float32)

    retriever = FakeRetriever(Found((GOOD, BAD)))
    helper, _ = agent(lambda _: says("Yes."), spec, retriever=retriever, screener=FakeScreener(), embedder=Embeds())
    got, _ = await played(helper, ASK)
    graders = [body.grader for body in got if isinstance(body, VerdictGiven)]
    assert graders[:2] == ["guard:injection", "answers"]


async def test_a_withheld_result_is_an_error_that_the_model_reads() -> None:
    tool = FakeTool("look", lambda _: "an attack")
    script = turns(calls(("look", "{}")), says("Done."))
    helper, generator = agent(script, "", tool, screener=FakeScreener())
    got, _ = await played(helper, ASK)
    (result,) = results(got)
    assert (result.content, result.is_error, result.error_reason) == (withheld("injection"), True, Reason.WITHHELD)
    assert generator.asked[1].messages[-1].content == withheld("injection")
    assert [body.reason for body in got if isinstance(body, VerdictGiven)] == [
        "result of look withheld: PROMPT_INJECTION"
    ]


async def test_a_redacted_result_is_read_so() -> None:
    tool = FakeTool("look", lambda _: "from a@b.example")
    helper, _ = agent(turns(calls(("look", "{}")), says("Done.")), "", tool, screener=FakeScreener())
    (result,) = results((await played(helper, ASK))[0])
    assert (result.content, result.is_error) == ("from <EMAIL>", False)


@pytest.mark.parametrize("shut", [True, False])
async def test_without_guards_tool_results_are_withheld_or_read(shut: bool) -> None:
    tool = FakeTool("look", lambda _: "all well")
    screener = FakeScreener(Unavailable("gone"), shut)
    helper, _ = agent(turns(calls(("look", "{}")), says("Done.")), "", tool, screener=screener)
    (result,) = results((await played(helper, ASK))[0])
    assert result.content == (UNCHECKED if shut else "all well")
    assert result.error_reason == (Reason.UNAVAILABLE if shut else None)


async def test_without_guards_passages_end_the_run_or_are_read() -> None:
    retriever = FakeRetriever(Found((GOOD,)))
    screener = FakeScreener(Unavailable("gone"))
    helper, _ = agent(lambda _: says("Yes."), ALWAYS, retriever=retriever, screener=screener)
    with pytest.raises(Unavailable, match="gone"):
        await played(helper, ASK)
    screener.shut = False
    got, _ = await played(helper, ASK)
    assert [len(body.passages) for body in got if isinstance(body, PassagesRetrieved)] == [1]


@pytest.mark.parametrize("refusal", [InvalidArgument("a policy that is broken"), PermissionDenied("no")])
async def test_what_the_guards_refuse_is_not_read_whatever_happens_without_them(refusal: DomainError) -> None:
    screener = FakeScreener(refusal, shut=False)
    tool = FakeTool("look", lambda _: "all well")
    helper, _ = agent(turns(calls(("look", "{}")), says("Done.")), "", tool, screener=screener)
    (result,) = results((await played(helper, ASK))[0])
    assert result.content == UNCHECKED
    searching, _ = agent(lambda _: says("Yes."), ALWAYS, retriever=FakeRetriever(Found((GOOD,))), screener=screener)
    with pytest.raises(type(refusal)):
        await played(searching, ASK)


async def test_what_the_agent_says_of_a_call_itself_is_not_screened() -> None:
    screener = FakeScreener()
    helper, _ = agent(turns(calls(("gone", "{}")), says("Done.")), "", FakeTool("look"), screener=screener)
    (result,) = results((await played(helper, ASK))[0])
    assert result.error_reason is Reason.UNKNOWN_TOOL
    assert screener.asked == []


async def test_where_no_policy_looks_the_guards_are_not_asked() -> None:
    screener = FakeScreener(looks=False)
    tool = FakeTool("look", lambda _: "an attack")
    helper, _ = agent(
        turns(calls(("look", "{}")), says("Done.")), ALWAYS, tool,
        retriever=FakeRetriever(Found((BAD,))), screener=screener,
    )  # fmt: skip
    got, outcome = await played(helper, ASK)
    assert [len(body.passages) for body in got if isinstance(body, PassagesRetrieved)] == [1]
    assert [one.content for one in results(got)] == ["an attack"]
    assert screener.asked == []
    assert "guards" not in [timing.hop for timing in outcome.timings]


async def test_results_of_one_step_go_in_one_call() -> None:
    screener = FakeScreener()
    tool = FakeTool("look", lambda given: "an attack" if given["x"] == "bad" else "fine")
    script = turns(calls(("look", '{"x": "bad"}'), ("look", '{"x": "b"}'), ("look", '{"x": "c"}')), says("Done."))
    helper, _ = agent(script, "", tool, screener=screener)
    got, _ = await played(helper, ASK)
    assert sorted(one.content for one in results(got)) == sorted([withheld("injection"), "fine", "fine"])
    assert [len(items) for _, _, items in screener.asked] == [3]


def test_more_than_the_guards_take_at_once_goes_in_parts() -> None:
    given = [
        ToolResult(str(number), "look", "x" * length) for number, length in enumerate((600_000, 600_000, 9, 2 << 20))
    ]
    assert [[len(one.content) for one in part] for part in parts(given)] == [[600_000], [600_000, 9], [2 << 20]]
