"""A model asked as it is."""

from dataclasses import replace

import pytest

from services.llm.chat import (
    Choice,
    Form,
    Message,
    Priority,
    ResponseFormat,
    Role,
    Sampling,
    ToolChoice,
)
from services.llm.generation import Finish, Generation, TokenCounts
from services.orchestrator.agents.loop.bare import BareModel
from services.orchestrator.agents.loop.loop import SpecAgent
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.specs.spec import AgentSpec
from services.orchestrator.domain.event import FinishReason, StepFinished, ToolCallRequested, UsageReported
from services.orchestrator.domain.tool import Declaration
from services.orchestrator.runs.agent import RunInput
from services.runtime.errors import InvalidArgument
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import FakeJournal, Said, ScriptedGenerator, calls, catalogue, played, says, turns
from tests.unit.orchestrator.agents.making import kinds, text

ASK = RunInput(
    (Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "Hi")),
    tools=(Declaration("look", "", {"type": "object"}),),
    tool_choice=ToolChoice(Choice.REQUIRED),
    serial_tool_calls=True,
    sampling=Sampling(temperature=0.5, ignore_eos=True),
    priority=Priority.BATCH,
)
FREE = replace(ASK, tools=(), tool_choice=ToolChoice())


def bare(*said: list[Said]) -> tuple[BareModel, ScriptedGenerator]:
    generator = ScriptedGenerator(turns(*said))
    models = catalogue(("small", generator))
    served = models.find("small")
    spec = AgentSpec(name="bare", model="small")
    return BareModel(served, SpecAgent(spec, 0, served, Kit(models, FakeRetriever()))), generator


async def test_all_that_the_caller_says_goes_to_the_model() -> None:
    model, generator = bare(says("Hel", "lo", tokens=TokenCounts(9, 2, 4)))
    got, outcome = await played(model, ASK)
    assert generator.asked == [
        Generation(
            ASK.messages, ASK.tools, ASK.tool_choice, True, ResponseFormat(), ASK.sampling, Priority.BATCH,
            reasoning=True,
        )
    ]  # fmt: skip
    assert kinds(got) == ["StepStarted", "TextDelta", "TextDelta", "StepFinished", "UsageReported"]
    assert (text(got), outcome.reason) == ("Hello", FinishReason.STOP)
    assert got[-1] == UsageReported(9, 2, 4, 13)
    (step,) = [body for body in got if isinstance(body, StepFinished)]
    assert (step.text, step.model, step.finish) == ("Hello", "small", "stop")
    assert 0 <= step.waited <= step.seconds
    assert [timing.hop for timing in outcome.timings] == ["llm"]


@pytest.mark.parametrize("choice", [ToolChoice(Choice.REQUIRED), ToolChoice(Choice.FUNCTION, "look")])
async def test_a_call_is_not_demanded_of_tools_that_are_not_there(choice: ToolChoice) -> None:
    model, generator = bare(says("x"))
    with pytest.raises(InvalidArgument) as caught:
        await played(model, replace(FREE, tool_choice=choice))
    assert (caught.value.details["field"], generator.asked) == ("tool_choice", [])


async def test_its_tools_are_the_callers() -> None:
    model, _ = bare(calls(("look", "{}"), ("unknown", "{")))
    got, outcome = await played(model, ASK)
    requested = [body for body in got if isinstance(body, ToolCallRequested)]
    assert [(body.call.name, body.callers) for body in requested] == [("look", True)]
    assert outcome.reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("ask", [FREE, replace(ASK, tool_choice=ToolChoice(Choice.NONE))], ids=["no tools", "none"])
async def test_calls_that_it_was_not_free_to_make_are_not_handed_over(ask: RunInput) -> None:
    got, outcome = await played(bare(calls(("look", "{}"), text="So."))[0], ask)
    assert not [body for body in got if isinstance(body, ToolCallRequested)]
    assert (text(got), outcome.reason) == ("So.", FinishReason.STOP)


@pytest.mark.parametrize("finish", [Finish.STOP, Finish.LENGTH])
async def test_why_it_ended(finish: Finish) -> None:
    _, outcome = await played(bare(says("x", finish=finish))[0], ASK)
    assert outcome.reason.name == finish.name


async def test_a_form_is_checked_and_mended() -> None:
    model, generator = bare(says("no"), says("{}"))
    got, _ = await played(model, replace(FREE, response_format=ResponseFormat(Form.JSON_OBJECT)))
    assert (text(got), len(generator.asked)) == ("{}", 2)


async def test_the_generator_is_closed_with_the_run() -> None:
    model, generator = bare(says("a", "b", "c"))
    run = model.run(ASK, FakeJournal())
    for _ in range(3):
        await anext(run)
    await run.aclose()
    assert generator.closed == 1


async def test_a_generator_that_just_stops_is_an_error() -> None:
    model, _ = bare([])
    with pytest.raises(RuntimeError):
        await played(model, ASK)
