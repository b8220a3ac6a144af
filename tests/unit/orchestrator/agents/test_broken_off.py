"""What is charged for a generation that did not end by itself: all that the model was sent, however it broke off."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from services.llm.chat import Declaration, Message, Role
from services.llm.generation import Calls, Generation, Lost, Piece, Said, Thought
from services.llm.tokens import estimate, estimate_generation
from services.orchestrator.agents.loop.bare import BareModel
from services.orchestrator.agents.loop.loop import SpecAgent
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.specs.validation import parse
from services.orchestrator.domain.event import Body, StepStarted, UsageReported
from services.orchestrator.domain.tool import ToolCall
from services.orchestrator.runs.agent import Agent
from services.orchestrator.tools.toolbox import Toolbox
from services.runtime.errors import DeadlineExceeded, DomainError, Unavailable
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import FakeJournal, FakeTool, catalogue, played
from tests.unit.orchestrator.agents.making import ASK, FakeToolboxes

SPEC = "name: helper\nmodel: small\ntools: [t]\ninstructions: " + "Mind what you say. " * 100 + "\n"


@dataclass
class Breaking:
    """Says this, then fails, or waits where there is no error."""

    says: Sequence[Said]
    error: DomainError | None = None
    name: str = "llm"
    asked: list[Generation] = field(default_factory=list)

    async def count(self, messages: Sequence[Message], tools: Sequence[Declaration] = ()) -> int:
        return 10

    async def generate(self, generation: Generation) -> AsyncGenerator[Said, None]:
        self.asked.append(generation)
        for piece in self.says:
            yield piece
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()


def helper(generator: Breaking, more: str = "") -> SpecAgent:
    models = catalogue(("small", generator), default="small")
    kit = Kit(models, FakeRetriever(), FakeToolboxes(Toolbox([FakeTool("t")])))
    return SpecAgent(parse(SPEC + more), 1, models.find("small"), kit)


def model(generator: Breaking) -> BareModel:
    return BareModel(catalogue(("small", generator), default="small").find("small"))


def usage(bodies: Sequence[Body]) -> UsageReported:
    return [body for body in bodies if isinstance(body, UsageReported)][-1]


@pytest.mark.parametrize(
    ("says", "written"),
    [
        ((), ""),
        ((Piece("It is "), Piece("four.")), "It is four."),
        ((Thought("Let me see."), Piece("Four.")), "Four.Let me see."),
        ((Calls((ToolCall("c", "nobody", '{"a": 1}'),)),), 'nobody{"a": 1}'),
    ],
)
async def test_time_breaks_off(says: Sequence[Said], written: str) -> None:
    generator = Breaking(says)
    got, outcome = await played(helper(generator, "limits: {seconds: 0.3}\n"), ASK)
    assert outcome.limit == "seconds"
    (asked,) = generator.asked
    assert asked.tools, "the tools are sent"
    assert (usage(got).prompt_tokens, usage(got).completion_tokens) == (estimate_generation(asked), estimate(written))
    assert usage(got).prompt_tokens > 500


@pytest.mark.parametrize(
    ("says", "error", "charged"),
    [
        ((Piece("It is "),), Unavailable("gone"), True),
        ((Thought("Well."),), Unavailable("gone"), True),
        ((Lost("It is"),), Unavailable("broken"), True),
        ((Lost(""),), Unavailable("broken"), True),
        ((), DeadlineExceeded("late"), True),
        ((), Unavailable("gone"), False),
    ],
)
@pytest.mark.parametrize("make", [helper, model], ids=["an agent", "a model"])
async def test_an_error_breaks_off(
    make: Callable[["Breaking"], Agent], says: Sequence[Said], error: DomainError, charged: bool
) -> None:
    generator = Breaking(says, error)
    journal = FakeJournal()
    with pytest.raises(type(error)):
        await played(make(generator), ASK, journal)
    (reported,) = [event.body for event in journal.record if isinstance(event.body, UsageReported)]
    written = "".join(piece.text for piece in says if isinstance(piece, Piece | Thought | Lost))
    expected = (estimate_generation(generator.asked[0]), estimate(written)) if charged else (0, 0)
    assert (reported.prompt_tokens, reported.completion_tokens) == expected


@pytest.mark.parametrize("make", [helper, model], ids=["an agent", "a model"])
async def test_a_step_says_at_its_beginning_what_the_model_is_sent(make: Callable[["Breaking"], Agent]) -> None:
    """For whoever leaves before there is a usage."""
    generator = Breaking(())
    bodies = make(generator).run(ASK, FakeJournal())
    started = await anext(bodies)
    following = asyncio.ensure_future(anext(bodies))
    while not generator.asked:
        await asyncio.sleep(0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert isinstance(started, StepStarted)
    assert started.prompt_tokens == estimate_generation(generator.asked[0]) > 0


def test_the_estimate_counts_all_that_is_sent() -> None:
    plain = Generation((Message(Role.USER, "What is 2 + 2?"),))
    tool = Declaration("calculator", "Evaluates arithmetic. " * 20, {"type": "object"})
    offered = Generation(plain.messages, (tool,))
    assert estimate_generation(offered) > estimate_generation(plain) + 100
