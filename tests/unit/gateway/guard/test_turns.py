"""Long texts take turns, and what is found in them is the same as at once."""

import asyncio
import sys

import pytest

from gateway.guard.bound import DetectorGroup
from gateway.guard.compile import compile_policy
from gateway.guard.pipeline import LISTED, THREAD_FROM, GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.terms.library import Library
from gateway.guard.texts import screen_texts
from gateway.guard.turns import ScreeningBusy, Steps, Turns
from gateway.guard.vault import Vault

POLICY = """
guards:
  - {guard: pii, stage: both, action: redact}
  - {guard: secrets, stage: both, action: redact}
  - {guard: terms, stage: both, action: redact, terms: [badword]}
"""
GUARDS = compile_policy(parse(POLICY), Library(None))


@pytest.mark.parametrize(
    "unit",
    [
        "jo@example.com ", "jo@example.com", "1-", "4111 1111 1111 1111 ", "DE89 3704 0044 0532 0130 00 ",
        "b a d w o r d ",
        "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIE" * 20_000 + "\n-----END RSA PRIVATE KEY-----\n", "\\u0041", "x",
        '{"a": "jo@example.com"}, ', "語 jo@example.com 語",
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "a ", '["', "\\n"])
def test_slices_find_what_the_whole_has(unit: str, before: str) -> None:
    text = before + unit * (100_000 // len(unit) + 1)
    (screened,) = screen_texts([text], GUARDS.on_input(Vault([text])))
    hits = DetectorGroup(GUARDS.on_input(Vault([text])), text.startswith("[")).push(text, final=True)
    found = {(hit.finding.guard, hit.finding.category, hit.start, hit.end) for hit in hits if hit.armed.tells}
    assert {(one.guard, one.category, one.start, one.end) for one in screened.findings} == found


async def test_tenants_take_turns() -> None:
    """However much one has to do, another's next turn is after one of theirs."""
    turns, order = Turns(), list[str]()

    def steps(owner: str, count: int) -> Steps[None]:
        for _ in range(count):
            order.append(owner)
            yield

    usual = sys.getswitchinterval()
    much = [asyncio.create_task(turns.run("a", steps("a", 1_000_000))) for _ in range(4)]
    while not order:
        await asyncio.sleep(0)
    await turns.run("b", steps("b", 1))
    assert not any(task.done() for task in much)
    for task in much:
        task.cancel()
    await asyncio.gather(*much, return_exceptions=True)
    assert sys.getswitchinterval() == usual


async def test_a_tenant_has_so_many_at_once() -> None:
    """What is over that is refused; another's goes on."""
    turns = Turns(most=2)

    def endless() -> Steps[None]:
        while True:
            yield

    held = [asyncio.create_task(turns.run("a", endless())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ScreeningBusy):
        await turns.run("a", _answer())
    assert await turns.run("b", _answer()) == 7
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert await turns.run("a", _answer()) == 7


async def test_an_error_in_a_thread_ends_the_turn() -> None:
    turns = Turns()

    def broken() -> Steps[None]:
        yield
        raise LookupError

    with pytest.raises(LookupError):
        await turns.run("a", broken())
    assert await turns.run("a", _answer()) == 7


def _answer() -> Steps[int]:
    yield
    return 7


async def test_of_very_many_findings_some_are_listed_and_all_are_counted() -> None:
    told = list[object]()
    pipeline = GuardPipeline(GUARDS, None, told.append)
    text = "jo@example.com badword " * THREAD_FROM
    screened = await pipeline.screen_input([text], owner="acme")
    assert len(told) == 2 * THREAD_FROM
    assert len(screened.findings) == 2 * LISTED
    assert "jo@" not in screened.texts[0]
    assert "badword" not in screened.texts[0]
