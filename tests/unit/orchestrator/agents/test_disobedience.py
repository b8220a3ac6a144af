"""Models that disregard what they are asked for: every limit holds, whatever they answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from services.llm.chat import Choice, Message, Sampling, ToolChoice
from services.llm.generation import Calls, Ended, Finish, Generation, Piece, TokenCounts
from services.orchestrator.agents.loop.loop import SpecAgent
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.specs import shipped
from services.orchestrator.agents.specs.errors import OutputInvalid
from services.orchestrator.agents.specs.validation import parse
from services.orchestrator.domain.event import Body, FinishReason, ToolCallRequested
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Declaration
from services.orchestrator.runs.agent import RunOutcome
from services.orchestrator.sessions.memory import Count, SessionWindow, Summarise
from services.orchestrator.tools.toolbox import Toolbox
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import FakeTool, Said, ScriptedGenerator, calls, catalogue, played
from tests.unit.orchestrator.agents.making import ASK, FakeToolboxes, Remembers, agent, results, text

SECONDS = 10.0
Answer = Callable[[Generation], Sequence[Said]]


def calling(*names: str, words: str = "", same: bool = False) -> Answer:
    """Answers everything with calls, offered or not, each time with other arguments unless `same`."""
    numbers = count()
    return lambda _: calls(*[(name, f'{{"n":{0 if same else next(numbers)}}}') for name in names], text=words)


ANSWERS: dict[str, Callable[[], Answer]] = {
    "one call": lambda: calling("t"),
    "a call with words": lambda: calling("t", words="Wait."),
    "the same call": lambda: calling("t", same=True),
    "three calls": lambda: calling("t", "t", "t"),
    "a thousand calls": lambda: calling(*["t"] * 1000),
    "an unknown name": lambda: calling("nothing"),
    "known and unknown": lambda: calling("t", "nothing"),
    "calls that are none": lambda: lambda _: [Calls(()), Ended(Finish.TOOL_CALLS, TokenCounts(10, 5))],
    "nothing at all": lambda: lambda _: [Ended(Finish.STOP, TokenCounts(10, 0))],
}
# The spec; the most that the model is asked, the most that the tool is called.
LIMITS = {
    "limits: {steps: 3}\n": (4, 20),
    "limits: {tool_calls: 2}\n": (9, 2),
    "limits: {calls: {t: 1}}\n": (9, 1),
    "limits: {repetitions: 2}\n": (9, 20),
    "limits: {tokens: 100}\n": (7, 20),
    "limits: {cost: 0.0000001}\n": (5, 20),
    "": (9, 20),
}


async def ended(agent: SpecAgent, ask: object = ASK) -> tuple[list[Body], RunOutcome]:
    async with asyncio.timeout(SECONDS):
        return await played(agent, ask)  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", LIMITS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_every_limit_is_a_bound(spec: str, answer: str) -> None:
    most_asked, most_called = LIMITS[spec]
    tool = FakeTool("t")
    helper, generator = agent(ANSWERS[answer](), spec, tool)
    got, outcome = await ended(helper)
    assert len(generator.asked) <= most_asked
    assert len(tool.called) <= most_called
    assert len(results(got)) == sum(isinstance(body, ToolCallRequested) for body in got)
    if answer in ("one call", "a call with words", "three calls"):
        assert outcome.reason is FinishReason.LIMIT
        assert text(got).endswith("Wait.") or "I stopped before I had an answer" in text(got)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("free", ["no tools", "tool_choice none"])
async def test_a_call_that_was_not_offered_is_not_made(answer: str, free: str) -> None:
    tool = FakeTool("t")
    tools, ask = ((), ASK) if free == "no tools" else ((tool,), replace(ASK, tool_choice=ToolChoice(Choice.NONE)))
    helper, generator = agent(ANSWERS[answer](), "", *tools)
    got, outcome = await ended(helper, ask)
    assert len(generator.asked) == 1
    assert not tool.called
    assert not [body for body in got if isinstance(body, ToolCallRequested)]
    assert outcome.reason is FinishReason.STOP


async def test_an_unknown_name_is_not_handed_to_the_caller() -> None:
    theirs = Declaration("theirs", "", {"type": "object"})
    helper, _ = agent(calling("theirs", "nothing"), "limits: {steps: 2}\n")
    got, outcome = await ended(helper, replace(ASK, tools=(theirs,)))
    handed = [body.call.name for body in got if isinstance(body, ToolCallRequested) and body.callers]
    assert handed == ["theirs"]
    assert outcome.reason is FinishReason.TOOL_CALLS


def shipped_specs() -> dict[str, str]:
    folder = Path(shipped.__file__).parent
    found = {path.stem: path.read_text("utf-8") for path in folder.glob("*.yaml")}
    assert found.keys() >= {"rag", "chat", "analyst", "extractor"}
    return found


@pytest.mark.parametrize("name", shipped_specs())
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("caller", ["no tools", "tools of the caller's"])
async def test_every_shipped_agent_ends(name: str, answer: str, caller: str) -> None:
    spec = parse(shipped_specs()[name])
    generator = ScriptedGenerator(ANSWERS[answer]())
    models = catalogue(("small", generator), default="small")
    toolbox = Toolbox([FakeTool(one) for one in ("search", "calculator", "current_time", "t")] if spec.tools else [])
    found = FakeRetriever(Found((Passage("p", "d", "T", "u", "Cats sleep.", 0, 0.5),)))
    helper = SpecAgent(spec, 1, models.find("small"), Kit(models, found, FakeToolboxes(toolbox)))
    theirs = () if caller == "no tools" else (Declaration("theirs", "", {"type": "object"}),)
    # An answer that has not its form, after one repair, is an error.
    with suppress(OutputInvalid) if name == "extractor" else nullcontext():
        await ended(helper, replace(ASK, tools=theirs))
    # Its steps, the last words, one repair.
    assert len(generator.asked) <= spec.limits.steps + 2


@dataclass
class Endless:
    """Writes for ever, whatever it is allowed; `waits` before each piece."""

    waits: float = 0.0
    name: str = "llm"
    asked: list[Generation] = field(default_factory=list)
    written: int = 0

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return 10

    async def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        self.asked.append(generation)
        while True:
            await asyncio.sleep(self.waits)
            self.written += 10
            yield Piece("and so on ")


@pytest.mark.parametrize(
    ("spec", "sampling", "reason", "limit", "most"),
    [
        ("limits: {tokens: 200}\n", Sampling(), FinishReason.LIMIT, "tokens", 1700),
        ("limits: {cost: 0.0000004}\n", Sampling(), FinishReason.LIMIT, "cost", 1700),
        ("sampling: {max_tokens: 50}\n", Sampling(), FinishReason.LENGTH, "", 500),
        ("", Sampling(max_tokens=50), FinishReason.LENGTH, "", 500),
        ("limits: {seconds: 0.3}\n", Sampling(), FinishReason.LIMIT, "seconds", 10**9),
    ],
)
async def test_an_answer_that_never_stops_is_broken_off(
    spec: str, sampling: Sampling, reason: FinishReason, limit: str, most: int
) -> None:
    generator = Endless(0.01 if "seconds" in spec else 0)
    models = catalogue(("small", generator), default="small")
    helper = SpecAgent(
        parse(f"name: helper\nmodel: small\n{spec}"), 1, models.find("small"), Kit(models, FakeRetriever())
    )
    got, outcome = await ended(helper, replace(ASK, sampling=sampling))
    assert (outcome.reason, outcome.limit) == (reason, limit)
    assert text(got).startswith("and so on ")
    assert generator.written <= most


@pytest.mark.parametrize("spec", ["limits: {seconds: 0.3}\n", "limits: {tokens: 2000}\n", ""])
async def test_a_judge_that_never_stops_is_broken_off(spec: str) -> None:
    judge, writer = Endless(), ScriptedGenerator(lambda _: [Piece("It is 4."), Ended(Finish.STOP, TokenCounts(10, 5))])
    models = catalogue(("small", writer), ("judge", judge), default="small")
    grader = "graders: [{answers: {judge: judge}}]\n"
    helper = SpecAgent(
        parse(f"name: helper\nmodel: small\n{grader}{spec}"), 1, models.find("small"), Kit(models, FakeRetriever())
    )
    got, _ = await ended(helper)
    assert text(got).startswith("It is 4.")
    assert "the judge gave no verdict" in text(got) or "not judged" in text(got)
    assert len(judge.asked) <= 2


async def test_a_summary_that_never_stops_is_broken_off() -> None:
    class Summed(Remembers):
        async def window(
            self, tenant: str, session_id: str, budget: int, count: Count, summarise: Summarise | None = None
        ) -> SessionWindow:
            assert summarise is not None
            return SessionWindow(await summarise("", ASK.messages), ())

    generator = Endless()
    models = catalogue(("small", generator), default="small")
    spec = parse("name: helper\nmodel: small\nmemory: {window_tokens: 100}\nsampling: {max_tokens: 20}\n")
    helper = SpecAgent(spec, 1, models.find("small"), Kit(models, FakeRetriever(), memory=Summed()))
    _, outcome = await ended(helper, replace(ASK, session_id="s1"))
    assert outcome.reason is FinishReason.LENGTH
    assert len(generator.asked) == 2
