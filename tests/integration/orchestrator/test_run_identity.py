"""A run's identity is renewed before it ends, and the run ends where it cannot be."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from services.orchestrator.domain.event import (
    ApprovalDecided,
    ApprovalKind,
    ApprovalRequested,
    Body,
    Finished,
    FinishReason,
    TextDelta,
)
from services.orchestrator.run_identity import CallIdentity, ExchangedToken
from services.orchestrator.runs.agent import Journal, RunInput, RunOutcome
from services.orchestrator.runs.errors import IdentityRefused, IdentityUnavailable
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.runs.run import Run
from services.runtime.call import Call, current, renewed
from services.runtime.errors import DomainError, Unauthenticated, Unavailable
from services.runtime.identity import Identity
from tests.fakes.serving import until
from tests.integration.orchestrator.conftest import OpenExecutor
from tests.integration.orchestrator.test_takeover import ASK, crash, over

ANN = Identity("acme", "ann")
# Of a token; a run takes several of them.
SECONDS = 0.2


@dataclass
class Gateway:
    """Exchanges refresh tokens; fails as long as `error` says so."""

    error: DomainError | None = None
    whose: Identity = ANN
    seconds: float = SECONDS
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def exchange(self, run_id: str, refresh_token: str) -> ExchangedToken:
        self.asked.append((run_id, refresh_token))
        if self.error is not None:
            raise self.error
        return ExchangedToken(f"token {len(self.asked)}", self.whose, self.seconds)


@dataclass
class Working:
    """Says under which tokens it would call, until `over`; first it asks for approval, if it is to."""

    approval: bool = False
    calls: bool = False
    name: str = "rag"
    version: int = 1
    description: str = "Works."
    resumable: bool = True
    tokens: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, ask: RunInput, journal: Journal) -> AsyncGenerator[Body | RunOutcome, None]:
        if self.approval:
            if not any(isinstance(event.body, ApprovalRequested) for event in journal.events):
                yield ApprovalRequested("a1", ApprovalKind.RUN, "may I?")
            await journal.decision("a1")
        while not self.over.is_set():
            if self.calls:
                await renewed()
            if current().token not in self.tokens:
                self.tokens.append(current().token)
                yield TextDelta(current().token)
            await asyncio.sleep(0.005)
        yield RunOutcome(FinishReason.STOP)


def identity_of(gateway: Gateway, patience: float = 0.3, sealed: str = "sealed") -> CallIdentity:
    return CallIdentity(Call("/run", identity=ANN), sealed, gateway, patience)


async def start(executor: object, gateway: Gateway, **terms: object) -> Run:
    given = {"identity": identity_of(gateway), "refresh_token": "sealed", **terms}
    return await executor.start("acme", "rag", ASK, RunTerms(30, **given))  # type: ignore[attr-defined,no-any-return,arg-type]


async def ended(run: Run) -> Finished:
    async with asyncio.timeout(5):
        await run.ended()
    assert run.finished is not None
    return run.finished


async def test_a_run_that_is_longer_than_a_token_has_several(open_executor: OpenExecutor) -> None:
    gateway, agent = Gateway(), Working()
    run = await start(await open_executor(agent), gateway)
    await until(lambda: len(agent.tokens) >= 4)
    agent.over.set()
    assert (await ended(run)).reason is FinishReason.STOP
    assert agent.tokens[:4] == ["token 1", "token 2", "token 3", "token 4"]
    assert set(gateway.asked) == {(run.id, "sealed")}
    asked = len(gateway.asked)
    await asyncio.sleep(2 * SECONDS)  # a run that is over has no use for tokens
    assert len(gateway.asked) == asked


async def test_a_run_ends_when_its_caller_is_let_in_no_more(open_executor: OpenExecutor) -> None:
    gateway, agent = Gateway(), Working()
    run = await start(await open_executor(agent), gateway)
    await until(lambda: agent.tokens)
    gateway.error = Unauthenticated("the key was revoked")
    began = asyncio.get_running_loop().time()
    finished = await ended(run)
    assert asyncio.get_running_loop().time() - began < 2 * SECONDS
    assert (finished.reason, finished.error_reason) == (FinishReason.ERROR, "RUN_IDENTITY_REFUSED")
    assert "the key was revoked" in finished.error_message


async def test_a_gateway_that_comes_back_in_time_is_not_noticed(open_executor: OpenExecutor) -> None:
    gateway, agent = Gateway(seconds=1.0), Working()
    run = await start(await open_executor(agent), gateway)
    await until(lambda: agent.tokens)
    gateway.error = Unavailable("gone")
    await until(lambda: len(gateway.asked) >= 3)
    gateway.error = None
    await until(lambda: len(agent.tokens) >= 2)
    agent.over.set()
    assert (await ended(run)).reason is FinishReason.STOP


async def test_a_gateway_that_stays_away_ends_the_run_with_its_token(open_executor: OpenExecutor) -> None:
    gateway, agent = Gateway(seconds=0.5), Working()
    run = await start(await open_executor(agent), gateway)
    await until(lambda: agent.tokens)
    gateway.error = Unavailable("gone")
    finished = await ended(run)
    assert (finished.reason, finished.error_reason) == (FinishReason.ERROR, "RUN_IDENTITY_UNAVAILABLE")
    assert len(gateway.asked) >= 3, "it was asked again"


async def test_who_waits_for_a_person_has_no_token_until_it_goes_on(open_executor: OpenExecutor) -> None:
    gateway, agent = Gateway(), Working(approval=True)
    executor = await open_executor(agent)
    run = await start(executor, gateway)
    await until(lambda: run.approvals.pending)
    await asyncio.sleep(2 * SECONDS)
    asked = len(gateway.asked)
    assert asked <= 2, "not while it waits"
    gateway.whose = ANN
    await executor.decide(run, ApprovalDecided("a1", True, "me"))
    await until(lambda: agent.tokens)
    assert agent.tokens[0] == f"token {asked + 1}", "the old one has ended"
    agent.over.set()
    await ended(run)


async def test_a_key_that_was_revoked_while_its_run_waited(open_executor: OpenExecutor) -> None:
    gateway, agent = Gateway(), Working(approval=True)
    executor = await open_executor(agent)
    run = await start(executor, gateway)
    await until(lambda: run.approvals.pending)
    await asyncio.sleep(SECONDS)
    gateway.error = Unauthenticated("the key was revoked")
    await executor.decide(run, ApprovalDecided("a1", True, "me"))
    assert (await ended(run)).error_reason == "RUN_IDENTITY_REFUSED"
    assert agent.tokens == [], "nothing was done after the decision"


async def test_a_run_that_is_taken_up_is_given_a_new_token(open_executor: OpenExecutor, records: RunRecords) -> None:
    first_gateway, first = Gateway(), Working()
    dead = await open_executor(first)
    run = await start(dead, first_gateway, detached=True)
    await until(lambda: first.tokens)
    await run.saved(2)
    await crash(dead)
    second, agent = Gateway(error=Unavailable("not up yet")), Working()
    agent.over.set()
    taken: list[str] = []

    def identify(left: object) -> CallIdentity:
        taken.append(left.refresh_token)  # type: ignore[attr-defined]
        return identity_of(second, patience=5)

    await open_executor(agent, identify=identify)
    await until(lambda: len(second.asked) >= 2)
    second.error = None

    await over(records, run)
    info = await records.get("acme", run.id)
    assert (taken, info and info.finish_reason) == (["sealed"], FinishReason.STOP)


async def test_a_run_that_is_taken_up_and_waits_does_not_need_the_gateway(
    open_executor: OpenExecutor, records: RunRecords
) -> None:
    dead = await open_executor(Working(approval=True))
    run = await start(dead, Gateway(), detached=True)
    await until(lambda: run.approvals.pending)
    await run.saved(2)
    await crash(dead)
    gone = Gateway(error=Unavailable("gone"))
    executor = await open_executor(Working(approval=True), identify=lambda left: identity_of(gone))
    found = await until(lambda: executor.find("acme", run.id))
    await asyncio.sleep(0.5)
    assert (found.finished, gone.asked) == (None, [])
    await executor.decide(found, ApprovalDecided("a1", True, "me"))
    assert (await ended(found)).error_reason == "RUN_IDENTITY_UNAVAILABLE"


@pytest.mark.parametrize("whose", [Identity("other", "ann"), Identity("acme", "eve")], ids=["tenant", "subject"])
async def test_the_identity_of_somebody_else_is_not_taken(whose: Identity) -> None:
    with pytest.raises(IdentityRefused, match="somebody else"):
        await identity_of(Gateway(whose=whose)).ensure()


async def test_without_a_refresh_token_there_is_no_exchange() -> None:
    gateway = Gateway()
    with pytest.raises(IdentityRefused):
        await identity_of(gateway, sealed="").ensure()
    assert gateway.asked == []


async def test_many_calls_at_once_ask_once() -> None:
    gateway = Gateway(seconds=60)
    identity = identity_of(gateway)
    await asyncio.gather(*(identity.ensure() for _ in range(20)))
    assert len(gateway.asked) == 1


async def test_patience_ends() -> None:
    gateway = Gateway(error=Unavailable("gone"))
    with pytest.raises(IdentityUnavailable, match="gone"):
        await identity_of(gateway, patience=0.2).ensure()
    assert len(gateway.asked) >= 2


@pytest.mark.parametrize("calls", [False, True])
async def test_what_is_called_next_gets_the_latest_token(open_executor: OpenExecutor, calls: bool) -> None:
    gateway, agent = Gateway(), Working(calls=calls)
    run = await start(await open_executor(agent), gateway)
    await until(lambda: len(agent.tokens) >= 3)
    agent.over.set()
    await ended(run)
    assert agent.tokens == [f"token {number}" for number in range(1, len(agent.tokens) + 1)]
