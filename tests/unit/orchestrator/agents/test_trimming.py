"""A context that is full in mid-run: the run goes on with less of what was before, and says so."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from services.llm.chat import Message, Role
from services.llm.errors import ContextTooLong
from services.llm.generation import Generation
from services.orchestrator.agents.loop.transcript import LEFT_OUT
from services.orchestrator.domain.event import Body, ContextTrimmed, FinishReason
from services.orchestrator.domain.tool import ToolPolicy
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.sessions.memory import Count, SessionWindow, Summarise
from tests.fakes.models import FakeTool, Said, calls, played, says, turns
from tests.unit.orchestrator.agents.making import ASK, agent, text

Answer = Callable[[Generation], Sequence[Said]]
WORD = "word "
STEPS = 6


def words(generation: Generation) -> int:
    """The tokens of a prompt, as the scripted model counts them."""
    return sum(len(message.content.split()) for message in generation.messages)


def strict(most: int, answer: Answer, *, silent: bool = False) -> Answer:
    """A model that refuses a longer prompt, and says how long it was unless it is silent."""

    def checked(generation: Generation) -> Sequence[Said]:
        if (prompt := words(generation)) > most:
            raise ContextTooLong("too long") if silent else ContextTooLong.counted(prompt, most // 3, most * 4 // 3)
        return answer(generation)

    return checked


def calling(steps: int) -> Answer:
    """Calls the tool so many times, then answers."""
    return turns(*(calls(("t", f'{{"n":{n}}}'), first=n) for n in range(1, steps + 1)), says("All read."))


def trims(bodies: Sequence[Body]) -> list[ContextTrimmed]:
    return [body for body in bodies if isinstance(body, ContextTrimmed)]


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "telling"])
@pytest.mark.parametrize("size", [150, 290, 500, 5000])
async def test_a_run_goes_on_without_its_oldest_results(known: bool, silent: bool, size: int) -> None:
    tool = FakeTool("t", lambda _: WORD * size)
    whole = {"t": ToolPolicy(result_limit=10**6)}
    made, model = agent(strict(300, calling(STEPS), silent=silent), "", tool, policies=whole,
                        context_length=400 if known else 0)  # fmt: skip
    got, outcome = await played(made, ASK)
    assert (text(got), outcome.reason) == ("All read.", FinishReason.STOP)
    assert len(tool.called) == STEPS
    assert trims(got)
    for trim in trims(got):
        assert trim.prompt_tokens > 300
        kept = [one.kept for one in trim.results]
        assert kept == sorted(kept), "what is older goes first"
    last = model.asked[-1]
    assert words(last) <= 300
    read = [message.content for message in last.messages if message.role is Role.TOOL]
    assert len(read) == STEPS, "each call keeps its result"
    assert read[0] == LEFT_OUT
    assert read[-1].startswith("word word"), "of the newest something is read"


async def test_where_nothing_can_be_left_out_it_is_said() -> None:
    ask = RunInput((Message(Role.USER, WORD * 400),))
    made, _ = agent(strict(300, turns(says("no"))), "", context_length=400)
    with pytest.raises(ContextTooLong):
        await played(made, ask)


async def test_a_prompt_that_fits_is_left_alone() -> None:
    tool = FakeTool("t", lambda _: WORD * 40)
    made, _ = agent(strict(300, calling(STEPS)), "", tool, context_length=400)
    got, _ = await played(made, ASK)
    assert trims(got) == []


class Talked:
    """A session of ten long messages."""

    async def window(
        self, tenant: str, session_id: str, budget: int, count: Count, summarise: Summarise | None = None
    ) -> SessionWindow:
        one = (Message(Role.USER, "What? " + WORD * 30), Message(Role.ASSISTANT, "That. " + WORD * 30))
        return SessionWindow("", one * 5)


async def test_the_oldest_of_the_session_goes_next() -> None:
    made, model = agent(strict(200, turns(says("Yes."))), "", memory=Talked(), context_length=266)
    got, _ = await played(made, replace(ASK, session_id="s1"))
    (trim,) = trims(got)
    assert (trim.results, trim.messages % 2) == ((), 0)
    assert text(got) == "Yes."
    spoken = [message.role for message in model.asked[-1].messages]
    assert spoken[0] is Role.USER
    assert len(spoken) == 11 - trim.messages
