"""Limits hold: each ends the run with its reason and the best answer so far."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.llm.chat import Form, ResponseFormat, Sampling
from services.llm.generation import Finish, Generation, TokenCounts
from services.orchestrator.domain.event import FinishReason, ToolCallRequested, UsageReported
from services.orchestrator.domain.tool import Reason, ToolPolicy
from tests.fakes.models import FakeTool, Said, calls, played, says, turns
from tests.unit.orchestrator.agents.making import ASK, agent, results, text


def restless(generation: Generation) -> Sequence[Said]:
    """Calls the tool, each time with another argument, for as long as it may."""
    if not generation.tools:
        return says("What I have is 4.")
    return calls(("t", f'{{"n":{len(generation.messages)}}}'))


def stuck(generation: Generation) -> Sequence[Said]:
    """Calls the tool with the same argument for as long as it may."""
    return (
        calls(("t", '{ "a": 1, "b": 2 }' if len(generation.messages) % 4 else '{"b":2,"a":1}'))
        if (generation.tools)
        else says("The same again.")
    )


@pytest.mark.parametrize(
    ("spec", "limit", "asked", "called"),
    [
        ("limits: {steps: 3}\n", "steps", 4, 3),
        ("limits: {tool_calls: 2}\n", "tool_calls", 4, 2),
        ("limits: {calls: {t: 1}}\n", "calls:t", 3, 1),
        ("limits: {tool_calls: 0}\n", "tool_calls", 2, 0),
    ],
)
async def test_a_soft_limit_leaves_the_model_its_last_words(spec: str, limit: str, asked: int, called: int) -> None:
    tool = FakeTool("t")
    helper, generator = agent(restless, spec, tool)
    got, outcome = await played(helper, ASK)
    assert (outcome.reason, outcome.limit) == (FinishReason.LIMIT, limit)
    assert (len(generator.asked), len(tool.called)) == (asked, called)
    assert text(got) == "What I have is 4."
    assert generator.asked[-1].messages[-1].content.startswith("No more tools may be called.")
    # Each call has its result, also those that were not made.
    assert len(results(got)) == sum(isinstance(body, ToolCallRequested) for body in got)


async def test_calls_beyond_a_limit_are_refused_and_the_others_made() -> None:
    tool = FakeTool("t")
    script = turns(calls(("t", '{"n":1}'), ("t", '{"n":2}'), ("t", '{"n":3}')), says("Two of three."))
    got, outcome = await played(agent(script, "limits: {calls: {t: 2}}\n", tool)[0], ASK)
    assert sorted(str(one.error_reason) for one in results(got)) == [str(Reason.LIMIT), "None", "None"]
    assert (tool.called, outcome.limit) == ([{"n": 1}, {"n": 2}], "calls:t")


async def test_a_tools_own_limit() -> None:
    tool = FakeTool("t")
    policies = {"t": ToolPolicy(max_calls=1)}
    _, outcome = await played(agent(restless, "", tool, policies=policies)[0], ASK)
    assert (len(tool.called), outcome.limit) == (1, "calls:t")


async def test_a_run_that_repeats_itself_is_ended() -> None:
    tool = FakeTool("t", lambda _: "nothing new")
    got, outcome = await played(agent(stuck, "limits: {repetitions: 3}\n", tool)[0], ASK)
    assert (len(tool.called), outcome.reason, outcome.limit) == (3, FinishReason.LIMIT, "repetition")
    assert text(got) == "The same again."


async def test_another_result_is_no_repetition() -> None:
    results_ = iter(range(100))
    tool = FakeTool("t", lambda _: str(next(results_)))
    _, outcome = await played(agent(stuck, "limits: {repetitions: 2, steps: 5}\n", tool)[0], ASK)
    assert (len(tool.called), outcome.limit) == (5, "steps")


async def test_an_unknown_tool_called_for_ever_is_a_repetition() -> None:
    helper, _ = agent(lambda g: calls(("no", "{}")) if g.tools else says("I cannot."), "", FakeTool("t"))
    _, outcome = await played(helper, ASK)
    assert outcome.limit == "repetition"


async def test_tokens_end_the_run_and_cap_each_generation() -> None:
    """A generation reads 10 and writes 5; the prompt of one has 5 words by the model's own count."""
    helper, generator = agent(restless, "limits: {tokens: 40}\n", FakeTool("t"))
    got, outcome = await played(helper, ASK)
    assert (outcome.reason, outcome.limit) == (FinishReason.LIMIT, "tokens")
    assert [generation.sampling.max_tokens for generation in generator.asked] == [35, 19, 3]
    usage = [body for body in got if isinstance(body, UsageReported)][-1]
    assert usage.prompt_tokens + usage.completion_tokens >= 40
    assert text(got) == "I stopped before I had an answer: the limit on tokens was reached."


async def test_a_cap_that_cuts_the_answer_is_the_limit() -> None:
    helper, generator = agent(turns(says("Half", finish=Finish.LENGTH)), "limits: {tokens: 40}\n")
    _, outcome = await played(helper, replace(ASK, sampling=Sampling(max_tokens=1000)))
    assert (outcome.reason, outcome.limit) == (FinishReason.LIMIT, "tokens")
    helper, generator = agent(turns(says("Half", finish=Finish.LENGTH)), "limits: {tokens: 40}\n")
    _, outcome = await played(helper, replace(ASK, sampling=Sampling(max_tokens=8)))
    assert (outcome.reason, generator.asked[0].sampling.max_tokens) == (FinishReason.LENGTH, 8)


@pytest.mark.parametrize(
    ("entry", "cap"),
    [
        ({"context_length": 50}, None),  # its prompt of 5 leaves 45, fewer than the limit does
        ({"context_length": 1000}, 95),
        ({"sampling": Sampling(max_tokens=20)}, None),  # the catalogue's own is less, and set later
        ({"sampling": Sampling(max_tokens=200)}, 95),
        ({}, 95),
    ],
)
async def test_a_limit_caps_no_further_than_the_model_can_go(entry: dict[str, Any], cap: int | None) -> None:
    helper, generator = agent(turns(says("x")), "limits: {tokens: 100}\n", **entry)
    await played(helper, ASK)
    assert [generation.sampling.max_tokens for generation in generator.asked] == [cap]


async def test_a_small_prompt_is_not_counted_by_the_model() -> None:
    helper, generator = agent(turns(says("x")), "limits: {tokens: 100000}\nsampling: {max_tokens: 100}\n")
    counted = 0

    async def count(messages: object, tools: object = ()) -> int:
        nonlocal counted
        counted += 1
        return 0

    generator.count = count  # type: ignore[method-assign]
    await played(helper, ASK)
    assert counted == 0


async def test_cost_ends_the_run() -> None:
    """A million tokens cost 0.001 to read and 0.002 to write; a generation 20 nanos."""
    helper, generator = agent(restless, "limits: {cost: 0.00000005}\n", FakeTool("t"))
    got, outcome = await played(helper, ASK)
    assert (outcome.reason, outcome.limit) == (FinishReason.LIMIT, "cost")
    assert [generation.sampling.max_tokens for generation in generator.asked][:1] == [22]
    assert text(got) == "I stopped before I had an answer: the limit on cost was reached."


@pytest.mark.parametrize("said", [[], ["Half", " of it"]])
async def test_time_ends_a_generation_under_way(said: list[str]) -> None:
    helper, generator = agent(turns(says(*said)), "limits: {seconds: 0.05}\n")

    async def hang(piece: Said) -> None:
        if type(piece).__name__ == "Ended":
            await asyncio.sleep(60)

    generator.delay = hang
    got, outcome = await asyncio.wait_for(played(helper, ASK), 5)
    assert (outcome.reason, outcome.limit, generator.closed) == (FinishReason.LIMIT, "seconds", 1)
    stopped = "I stopped before I had an answer: the limit on time was reached."
    assert text(got) == ("".join(said) or stopped)


async def test_time_ends_a_tool_under_way() -> None:
    helper, _ = agent(turns(calls(("t", "{}")), says("x")), "limits: {seconds: 0.05}\n",
                      FakeTool("t", lambda _: asyncio.sleep(60)))  # fmt: skip
    got, outcome = await asyncio.wait_for(played(helper, ASK), 5)
    assert (outcome.limit, [one.error_reason for one in results(got)]) == ("seconds", [Reason.TIMEOUT])


async def test_a_limit_says_nothing_where_the_answer_must_have_a_form() -> None:
    helper, _ = agent(turns(says('{"a":', finish=Finish.LENGTH)), "limits: {tokens: 30}\n")
    got, outcome = await played(helper, replace(ASK, response_format=ResponseFormat(Form.JSON_OBJECT)))
    assert (text(got), outcome.reason, outcome.limit) == ("", FinishReason.LIMIT, "tokens")


async def test_no_tokens_to_ask_with() -> None:
    helper, generator = agent(turns(says("x", tokens=TokenCounts(1, 1))), "limits: {tokens: 4}\n")
    _, outcome = await played(helper, ASK)
    assert (outcome.limit, generator.asked) == ("tokens", [])


async def test_what_the_caller_says_of_sampling_stands_before_the_agent_a_zero_too() -> None:
    helper, generator = agent(turns(says("x")), "sampling: {temperature: 0.7, top_p: 0.5, seed: 3}\n")
    await played(helper, replace(ASK, sampling=Sampling(temperature=0.0, seed=0)))
    assert generator.asked[0].sampling == Sampling(temperature=0.0, top_p=0.5, seed=0)
