"""Sessions: what is kept, what a model reads of them, and who may have them."""

import asyncio
from collections.abc import Sequence

import pytest

from services.llm.chat import Message, Role
from services.orchestrator.domain.event import Body, FinishReason, TextDelta, ToolCallRequested, ToolResultReceived
from services.orchestrator.domain.tool import ToolCall, ToolResult
from services.orchestrator.runs.access import Viewer
from services.orchestrator.runs.agent import RunInput, RunOutcome
from services.orchestrator.runs.errors import SessionBusy, SessionNotFound
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunFilter, RunRecords
from services.orchestrator.runs.run import Run
from services.orchestrator.sessions.memory import SessionWindow
from services.orchestrator.sessions.store import SessionStore
from services.orchestrator.sessions.window import Sessions
from services.runtime.errors import Unavailable
from tests.fakes.agents import FakeAgent
from tests.fakes.serving import until
from tests.integration.orchestrator.conftest import OpenExecutor
from tests.integration.orchestrator.test_takeover import Counting, crash

CALL = ToolCall("c1", "search", '{"q": "x"}')
USING_TOOLS: list[Body | RunOutcome] = [
    TextDelta("let me "), TextDelta("look"), ToolCallRequested(CALL, 1),
    ToolResultReceived(ToolResult("c1", "search", "found")), TextDelta("it is"), TextDelta(" so"),
    RunOutcome(FinishReason.STOP),
]  # fmt: skip


def user(text: str) -> Message:
    return Message(Role.USER, text)


async def words(messages: Sequence[Message]) -> int:
    return sum(len(message.content.split()) for message in messages)


ACME = Viewer("acme")


async def start(executor: Executor, text: str, session: str = "s", tenant: str = "acme", model: str = "rag") -> Run:
    return await executor.start(tenant, model, RunInput((user(text),), session_id=session), RunTerms(30, detached=True))


async def ask(executor: Executor, text: str, session: str = "s", tenant: str = "acme") -> Run:
    run = await start(executor, text, session, tenant)
    async with asyncio.timeout(60):
        await run.ended()
    return run


@pytest.fixture
def store(records: RunRecords) -> SessionStore:
    return SessionStore(records.database)


async def test_a_run_adds_what_was_said_in_full(open_executor: OpenExecutor, store: SessionStore) -> None:
    executor = await open_executor(FakeAgent(USING_TOOLS))
    await ask(executor, "why?")
    await ask(executor, "and?")
    one = [
        Message(Role.ASSISTANT, "let me look", (CALL,)),
        Message(Role.TOOL, "found", (), "c1", "search"),
        Message(Role.ASSISTANT, "it is so"),
    ]
    assert await store.messages("acme", "s") == [user("why?"), *one, user("and?"), *one]
    found = await store.get(ACME, "s")
    assert (found.message_count, found.run_id, found.summary) == (8, None, "")


async def test_one_run_at_a_time(open_executor: OpenExecutor, store: SessionStore) -> None:
    agent = FakeAgent(hold=1)
    executor = await open_executor(agent)
    run = await start(executor, "why?")
    await agent.held.wait()
    with pytest.raises(SessionBusy) as caught:
        await start(executor, "and?")
    assert caught.value.details["run_id"] == run.id
    with pytest.raises(SessionBusy):
        await store.delete(ACME, "s")
    other = await start(executor, "and?", "other")
    agent.release.set()
    await asyncio.gather(run.ended(), other.ended())
    await ask(executor, "now?")


async def test_of_many_at_once_one_begins(open_executor: OpenExecutor) -> None:
    agent = FakeAgent(hold=0)
    executor = await open_executor(agent)
    begun = await asyncio.gather(*(start(executor, "why?") for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(each, Run) for each in begun) == 1
    assert sum(isinstance(each, SessionBusy) for each in begun) == 5
    agent.release.set()


async def test_a_dead_process_does_not_keep_a_session(open_executor: OpenExecutor, store: SessionStore) -> None:
    agent = Counting(hold=3)
    first = await open_executor(agent)
    run = await start(first, "count")
    await agent.held.wait()
    await run.saved(3)
    await crash(first)
    second = await open_executor(Counting())
    await until(lambda: store.count("acme", "s"))
    assert [message.content for message in await store.messages("acme", "s")] == ["count", "1234"]
    await ask(second, "again")


async def test_tenants_have_their_own(open_executor: OpenExecutor, store: SessionStore) -> None:
    executor = await open_executor(FakeAgent())
    await ask(executor, "mine", tenant="acme")
    await ask(executor, "theirs", tenant="other")
    assert [(await store.messages(tenant, "s"))[0].content for tenant in ("acme", "other")] == ["mine", "theirs"]
    await store.delete(ACME, "s")
    assert await store.messages("other", "s")


async def test_deleting_leaves_nothing(open_executor: OpenExecutor, store: SessionStore, records: RunRecords) -> None:
    executor = await open_executor(FakeAgent())
    run = await ask(executor, "why?")
    other = await ask(executor, "why?", "other")
    await store.delete(ACME, "s")
    assert await store.messages("acme", "s") == []
    assert await records.get("acme", run.id) is None
    assert await records.events(run.id) == []
    assert [info.id for info in await records.newest(Viewer("acme", others=True), 10, None, RunFilter())] == [other.id]
    for again in (store.get, store.delete):
        with pytest.raises(SessionNotFound):
            await again(ACME, "s")


async def test_sessions_by_pages_the_latest_used_first(open_executor: OpenExecutor, store: SessionStore) -> None:
    executor = await open_executor(FakeAgent())
    for name in ("a", "b", "c", "a"):
        await ask(executor, "why?", name)
    found, before = [], None
    while page := await store.latest(ACME, 2, before):
        found += [session.id for session in page]
        before = (page[-1].update_time, page[-1].id)
    assert found == ["a", "c", "b"]


async def filled(open_executor: OpenExecutor, rounds: int) -> Executor:
    """A session of rounds of three words each: `q1`, `one two`, …"""
    executor = await open_executor(FakeAgent())
    for number in range(1, rounds + 1):
        await ask(executor, f"q{number}")
    return executor


async def test_the_window_is_all_that_fits(open_executor: OpenExecutor, store: SessionStore) -> None:
    await filled(open_executor, 3)
    sessions = Sessions(store)
    assert await sessions.window("acme", "unknown", 10, words) == SessionWindow()
    whole = await sessions.window("acme", "s", 9, words)
    assert [message.content for message in whole.messages] == ["q1", "one two", "q2", "one two", "q3", "one two"]
    for budget, first in ((8, "q2"), (6, "q2"), (5, "q3"), (3, "q3")):
        part = await sessions.window("acme", "s", budget, words)
        assert part.messages[0].content == first
    assert await sessions.window("acme", "s", 2, words) == SessionWindow()


async def test_what_is_beyond_is_summed_up_once(open_executor: OpenExecutor, store: SessionStore) -> None:
    executor = await filled(open_executor, 4)
    sessions, asked = Sessions(store), []

    async def summarise(summary: str, messages: Sequence[Message]) -> str:
        asked.append((summary, [message.content for message in messages]))
        return f"sum{len(asked)}"

    window = await sessions.window("acme", "s", 9, words, summarise)
    assert window.summary == "sum1"
    assert [message.content for message in window.messages] == ["q4", "one two"]
    assert asked == [("", ["q1", "one two", "q2", "one two", "q3", "one two"])]
    assert await sessions.window("acme", "s", 9, words, summarise) == window
    assert len(asked) == 1
    assert (await store.get(ACME, "s")).summary == "sum1"
    for number in (5, 6):
        await ask(executor, f"q{number}")
    window = await sessions.window("acme", "s", 9, words, summarise)
    assert asked[1] == ("sum1", ["q4", "one two", "q5", "one two"])
    assert (window.summary, window.messages[0].content) == ("sum2", "q6")


async def test_a_model_that_cannot_sum_up_does_not_stop_the_run(
    open_executor: OpenExecutor, store: SessionStore
) -> None:
    await filled(open_executor, 4)

    async def summarise(summary: str, messages: Sequence[Message]) -> str:
        raise Unavailable("gone")

    window = await Sessions(store).window("acme", "s", 9, words, summarise)
    assert (window.summary, window.messages[0].content) == ("", "q4")
    assert (await store.get(ACME, "s")).summarised == 0
