"""The loop: what the model is asked, what becomes of what it says."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

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
from services.llm.generation import Ended, Finish, TokenCounts
from services.orchestrator.domain.document_filter import DocumentFilter
from services.orchestrator.domain.event import (
    CitationAdded,
    Event,
    FinishReason,
    PassagesRetrieved,
    Span,
    Started,
    StepFinished,
    StepKind,
    StepStarted,
    ToolCallRequested,
    UsageReported,
)
from services.orchestrator.domain.passage import Found, Passage
from services.orchestrator.domain.tool import Declaration, Reason, ToolCall
from services.orchestrator.runs.agent import RunInput
from services.runtime.errors import InvalidArgument
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import FakeJournal, FakeTool, calls, played, says, turns
from tests.unit.orchestrator.agents.making import ASK, Remembers, agent, kinds, results, text

CALC = ("calculator", '{"expression":"2+2"}')


async def test_an_answer_without_tools() -> None:
    helper, generator = agent(turns(says("It ", "is 4.")), "instructions: Be brief.\n")
    got, outcome = await played(helper, ASK)
    assert kinds(got) == ["StepStarted", "TextDelta", "TextDelta", "StepFinished", "UsageReported"]
    assert (text(got), outcome.reason, outcome.limit) == ("It is 4.", FinishReason.STOP, "")
    assert generator.asked[0].messages == (Message(Role.SYSTEM, "Be brief."), *ASK.messages)
    assert got[-1] == UsageReported(10, 5, 0, 20)
    assert [timing.hop for timing in outcome.timings] == ["llm"]


async def test_what_its_models_thought_and_what_was_cached_is_the_runs_own() -> None:
    first = [*calls(CALC)[:-1], Ended(Finish.TOOL_CALLS, TokenCounts(10, 5, 4, 3))]
    helper, _ = agent(turns(first, says("4", tokens=TokenCounts(20, 6, 8, 2))), "", FakeTool("calculator", str))
    got, _ = await played(helper, ASK)
    steps = [body.usage for body in got if isinstance(body, StepFinished)]
    assert [(one.cached_tokens, one.reasoning_tokens) for one in steps] == [(4, 3), (0, 0), (8, 2)]
    assert got[-1] == UsageReported(30, 11, 12, 52, 5)


async def test_tools_are_called_and_their_results_read() -> None:
    tool = FakeTool("calculator", lambda given: "4")
    helper, generator = agent(turns(calls(CALC, text="Let me see."), says("It is 4.")), "", tool)
    got, outcome = await played(helper, ASK)
    assert kinds(got) == [
        "StepStarted", "TextDelta", "ToolCallRequested", "StepFinished", "UsageReported",
        "StepStarted", "ToolResultReceived", "StepFinished",
        "StepStarted", "TextDelta", "StepFinished", "UsageReported",
    ]  # fmt: skip
    assert tool.called == [{"expression": "2+2"}]
    assert generator.asked[1].messages[1:] == (
        Message(Role.ASSISTANT, "Let me see.", (ToolCall("c1", *CALC),)),
        Message(Role.TOOL, "4", tool_call_id="c1", name="calculator"),
    )
    assert text(got) == "Let me see.\n\nIt is 4."
    assert outcome.reason is FinishReason.STOP
    assert got[-1] == UsageReported(20, 10, 0, 40)
    assert [body.kind for body in got if isinstance(body, StepStarted)] == [
        StepKind.GENERATE, StepKind.TOOLS, StepKind.GENERATE,
    ]  # fmt: skip
    finished = [body for body in got if isinstance(body, StepFinished)]
    assert [body.finish for body in finished] == ["tool_calls", "", "stop"]
    assert [body.step for body in finished] == [1, 2, 3]
    assert [timing.hop for timing in outcome.timings] == ["llm", "tools"]


async def test_calls_of_one_step_run_side_by_side_and_are_read_in_their_order() -> None:
    both = asyncio.Event()
    under_way: list[str] = []

    def meet(name: str) -> FakeTool:
        async def wait() -> str:
            under_way.append(name)
            if len(under_way) == 2:
                both.set()
            await both.wait()
            if name == "one":
                await asyncio.sleep(0.01)
            return name

        return FakeTool(name, lambda _: wait())

    helper, generator = agent(turns(calls(("one", "{}"), ("two", "{}")), says("done")), "", meet("one"), meet("two"))
    got, _ = await asyncio.wait_for(played(helper, ASK), 5)
    assert [result.name for result in results(got)] == ["two", "one"]
    assert [message.name for message in generator.asked[1].messages if message.role is Role.TOOL] == ["one", "two"]


async def test_no_more_tools_at_once_than_the_spec_says() -> None:
    under_way, most = 0, 0

    async def work() -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return "x"

    tool = FakeTool("t", lambda _: work())
    script = turns(calls(*[("t", f'{{"n":{n}}}') for n in range(6)]), says("done"))
    got, _ = await played(agent(script, "limits: {parallel_tools: 2}\n", tool)[0], ASK)
    assert (len(results(got)), most) == (6, 2)


@pytest.mark.parametrize(
    ("call", "reason", "words"),
    [
        (("nothing", "{}"), Reason.UNKNOWN_TOOL, "there is no tool 'nothing'"),
        (("calculator", "{"), Reason.INVALID_JSON, "not valid JSON"),
        (("calculator", "[1]"), Reason.INVALID_JSON, "must be a JSON object"),
    ],
)
async def test_a_wrong_call_is_a_result_that_the_model_reads(call: tuple[str, str], reason: Reason, words: str) -> None:
    helper, generator = agent(turns(calls(call), says("sorry")), "", FakeTool("calculator"))
    got, outcome = await played(helper, ASK)
    (result,) = results(got)
    assert (result.is_error, result.error_reason) == (True, reason)
    assert words in generator.asked[1].messages[-1].content
    assert outcome.reason is FinishReason.STOP


async def test_calls_have_ids_of_their_own() -> None:
    script = turns(calls(("t", '{"n":1}')), calls(("t", '{"n":2}')), says("done"))
    got, _ = await played(agent(script, "", FakeTool("t"))[0], ASK)
    ids = [body.call.id for body in got if isinstance(body, ToolCallRequested)]
    assert len(set(ids)) == 2
    assert [result.call_id for result in results(got)] == ids


async def test_the_callers_tools_come_back_to_it() -> None:
    own, theirs = FakeTool("own"), Declaration("theirs", "", {"type": "object"})
    helper, generator = agent(turns(calls(("theirs", '{"a":1}'), ("own", "{}"))), "", own)
    got, outcome = await played(helper, replace(ASK, tools=(theirs,)))
    assert [tool.name for tool in generator.asked[0].tools] == ["own", "theirs"]
    requested = [body for body in got if isinstance(body, ToolCallRequested)]
    assert [(body.call.name, body.callers) for body in requested] == [("theirs", True), ("own", False)]
    assert outcome.reason is FinishReason.TOOL_CALLS
    assert (len(own.called), [result.name for result in results(got)]) == (1, ["own"])


async def test_the_caller_goes_on_with_its_tools_results() -> None:
    helper, generator = agent(turns(says("4")), "prompt: 'Asked: {{ question }}'\n")
    call = ToolCall("c9", "theirs", "{}")
    messages = (*ASK.messages, Message(Role.ASSISTANT, "", (call,)), Message(Role.TOOL, "4", tool_call_id="c9"))
    await played(helper, RunInput(messages))
    assert generator.asked[0].messages == (Message(Role.USER, "Asked: What is 2 + 2?"), *messages[1:])


@pytest.mark.parametrize(
    ("asked", "own", "first", "second"),
    [
        (ToolChoice(), "auto", Choice.AUTO, Choice.AUTO),
        (ToolChoice(), "required", Choice.REQUIRED, Choice.AUTO),
        (ToolChoice(), "calculator", Choice.FUNCTION, Choice.AUTO),
        (ToolChoice(Choice.REQUIRED), "auto", Choice.REQUIRED, Choice.AUTO),
        (ToolChoice(Choice.NONE), "required", Choice.NONE, None),  # a call that it makes nevertheless is left out
    ],
)
async def test_tool_choice(asked: ToolChoice, own: str, first: Choice, second: Choice | None) -> None:
    tool = FakeTool("calculator")
    helper, generator = agent(turns(calls(CALC), says("4")), f"tool_choice: {own}\n", tool)
    await played(helper, replace(ASK, tool_choice=asked, serial_tool_calls=True))
    assert [generation.tool_choice.choice for generation in generator.asked] == [first, *([second] if second else [])]
    assert bool(tool.called) == (second is not None)
    assert generator.asked[0].serial_tool_calls


async def test_the_callers_sampling_goes_over_the_agents() -> None:
    helper, generator = agent(turns(says("x")), "sampling: {temperature: 0, top_p: 0.5, max_tokens: 64}\n")
    asked = Sampling(temperature=1, max_tokens=1000, seed=7)
    await played(helper, replace(ASK, sampling=asked, priority=Priority.BATCH))
    generation = generator.asked[0]
    assert generation.sampling == Sampling(temperature=1, top_p=0.5, max_tokens=64, seed=7)
    assert generation.priority is Priority.BATCH


@pytest.mark.parametrize(("finish", "reason"), [(Finish.STOP, FinishReason.STOP), (Finish.LENGTH, FinishReason.LENGTH)])
async def test_why_it_ended(finish: Finish, reason: FinishReason) -> None:
    assert (await played(agent(turns(says("x", finish=finish)))[0], ASK))[1].reason is reason


async def test_a_template_may_name_what_the_run_knows() -> None:
    spec = "instructions: '{{ agent }} of {{ tenant }} reads {{ collection }}; {{ now.year > 2000 }}'\n"
    helper, generator = agent(turns(says("x")), spec)
    await played(helper, replace(ASK, collection="cats"))
    assert generator.asked[0].messages[0].content == "helper of acme reads cats; True"


async def test_a_session_is_remembered_and_summed_up() -> None:
    def answer(generation: object) -> list[object]:
        sums = "Sum up" in generation.messages[0].content  # type: ignore[attr-defined]
        return list(says("She is Ann.", tokens=TokenCounts(7, 3))) if sums else list(says("You are Ann."))

    helper, generator = agent(answer, "memory: {window_tokens: 100}\n", memory=Remembers())  # type: ignore[arg-type]
    got, _ = await played(helper, replace(ASK, session_id="s1"))
    assert [body.kind for body in got if isinstance(body, StepStarted)] == [StepKind.SUMMARISE, StepKind.GENERATE]
    system, hello, hi, asked = generator.asked[-1].messages
    assert system.content == "What was said before, in short:\nShe is Ann."
    assert [hello.content, hi.content, asked.content] == ["Hello.", "Hi.", "What is 2 + 2?"]
    assert got[-1] == UsageReported(17, 8, 0, 33)


async def test_a_session_is_kept_in_its_own_sentences_without_a_model() -> None:
    helper, generator = agent(
        turns(says("You are Ann.")), "memory: {window_tokens: 100, summary: extract}\n", memory=Remembers()
    )
    got, _ = await played(helper, replace(ASK, session_id="s1"))
    assert [body.kind for body in got if isinstance(body, StepStarted)] == [StepKind.GENERATE]
    assert generator.asked[0].messages[0].content == "What was said before, in short:\nuser: I am Ann."


async def test_what_is_instructed_in_each_turn_is_read_once() -> None:
    told = Message(Role.SYSTEM, "Be brief.")
    helper, generator = agent(turns(says("x")))
    await played(helper, replace(ASK, messages=(told, *ASK.messages, told, *ASK.messages)))
    assert generator.asked[0].messages[0].content == "Be brief."


async def test_passages_are_compressed_to_the_agents_tokens_and_keep_their_numbers() -> None:
    other = "It is green. " * 30
    two = "Two and two are 4."
    passages = (
        Passage("p1", "d1", "T", "u", other, 0, 0.5, sentences=(Span(0, 12), Span(13, len(other)))),
        Passage("p2", "d2", "T", "u", f"{two} {other}", 0, 0.4, sentences=(Span(0, 18), Span(19, 19 + len(other)))),
    )
    spec = "retrieval: {mode: always, passage_tokens: 50}\n"
    helper, generator = agent(turns(says("4 [2].")), spec, retriever=FakeRetriever(Found(passages)))
    got, _ = await played(helper, ASK)
    prompt = generator.asked[0].messages[-1].content
    assert f"[2] T\n{two} …" in prompt
    assert len(prompt) < 300
    [found] = [body for body in got if isinstance(body, PassagesRetrieved)]
    assert found.left_out_tokens > 150
    [cited] = [body for body in got if isinstance(body, CitationAdded)]
    assert cited.citation.document_id == "d2"


async def test_a_form_is_left_to_the_engine_and_checked() -> None:
    form = ResponseFormat(Form.JSON_OBJECT)
    helper, generator = agent(turns(says('{"a"', ":1}")))
    got, _ = await played(helper, replace(ASK, response_format=form))
    assert generator.asked[0].response_format == form
    assert kinds(got) == ["StepStarted", "StepFinished", "UsageReported", "TextDelta"]
    assert text(got) == '{"a":1}'


async def test_a_collection_that_the_caller_may_not_choose() -> None:
    spec = "retrieval: {mode: always, collections: [cats, dogs], caller_may_choose: false}\n"
    retriever = FakeRetriever(Found((Passage("p", "d", "T", "u", "Cats sleep.", 0, 0.5),)))
    helper, _ = agent(turns(says("x")), spec, retriever=retriever)
    with pytest.raises(InvalidArgument, match="its own collections only: cats, dogs"):
        await played(helper, replace(ASK, collection="secrets"))
    await played(helper, replace(ASK, collection="dogs"))
    assert [name for name, _, _ in retriever.asked] == ["dogs"]


async def test_passages_are_reranked_where_the_spec_says_so() -> None:
    retriever = FakeRetriever(Found((Passage("p", "d", "T", "u", "Text.", 0, 0.5),), not_reranked=True))
    helper, _ = agent(turns(says("x")), "retrieval: {mode: always, rerank: 20}\n", retriever=retriever)
    got, _ = await played(helper, ASK)
    assert retriever.reranked == [20]
    (found,) = [body for body in got if isinstance(body, PassagesRetrieved)]
    assert found.not_reranked, "or nobody would know"


async def test_several_collections_are_read_together() -> None:
    class Two(FakeRetriever):
        async def search(
            self, collection: str, question: str, limit: int, only: DocumentFilter, rerank: int = 0
        ) -> Found:
            await super().search(collection, question, limit, only)
            scores = {"cats": (0.9, 0.2), "dogs": (0.5,)}[collection]
            return Found(tuple(Passage(f"{collection}{s}", "d", "T", "u", "Text.", 0, s) for s in scores))

    retriever = Two()
    helper, _ = agent(turns(says("x [2]")), "retrieval: {mode: always, collections: [cats, dogs], max_passages: 2}\n",
                      retriever=retriever)  # fmt: skip
    got, _ = await played(helper, ASK)
    (found,) = [body for body in got if isinstance(body, PassagesRetrieved)]
    assert [one.passage_id for one in found.passages] == ["cats0.9", "dogs0.5"]
    assert [body.citation.passage_id for body in got if isinstance(body, CitationAdded)] == ["dogs0.5"]


async def test_without_tools_to_call_the_form_is_the_engines() -> None:
    form = ResponseFormat(Form.JSON_OBJECT)
    helper, generator = agent(turns(says("{}")), "tool_choice: none\n", FakeTool("t"))
    await played(helper, replace(ASK, response_format=form))
    assert generator.asked[0].response_format == form


async def test_a_tool_of_the_callers_with_the_name_of_the_agents() -> None:
    helper, _ = agent(turns(says("x")), "", FakeTool("look"))
    with pytest.raises(InvalidArgument, match="a tool 'look' of its own"):
        await played(helper, replace(ASK, tools=(Declaration("look", "", {"type": "object"}),)))


async def test_each_step_begins_as_the_one_before_it_did() -> None:
    """So that a provider finds the beginning of the prompt again: what changes comes last."""
    always = "retrieval: {mode: always}\ninstructions: 'It is {{ now }}. Be brief.'\n"
    began = time.time() - 100
    retriever = FakeRetriever(Found((Passage("p", "d", "T", "u", "Bees make honey.", 0, 0.5),)))
    helper, generator = agent(
        turns(calls(CALC), calls(CALC), says("4")), always, FakeTool("calculator", str), retriever=retriever
    )
    await played(helper, ASK, FakeJournal([Event(1, Started("agent", "default", 1, begins=True), began)]))
    first, second, third = generator.asked
    assert second.messages[: len(first.messages)] == first.messages
    assert third.messages[: len(second.messages)] == second.messages
    assert first.tools == second.tools == third.tools
    assert first.messages[0].content == f"It is {datetime.fromtimestamp(int(began), UTC)}. Be brief."
    assert "Bees make honey." in first.messages[-1].content
    assert "Bees" not in "".join(message.content for message in first.messages[:-1])
