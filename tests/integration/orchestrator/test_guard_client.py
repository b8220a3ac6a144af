"""The guards' client, against the real servicer over a channel."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from headworks.gateway.v1 import guard_service_pb2 as pb
from headworks.gateway.v1 import guard_service_pb2_grpc as pb_grpc

from services.orchestrator.adapters.guard_client import GuardClient, WhenGone
from services.orchestrator.agents.loop.screener import Item, Reading, ScreeningVerdict
from services.runtime.call import CLOSED, READS_KEY, SCREENED, UNSCREENED, Call, enter
from services.runtime.channels import open_channel
from services.runtime.errors import DomainError, ErrorKind
from tests.fakes.serving import channel_for, serving


class FakeGuards(pb_grpc.GuardServiceServicer):
    """Answers with `items`, or fails, or hangs."""

    def __init__(
        self, items: Sequence[pb.ScreenedItem] = (), code: grpc.StatusCode | None = None, hangs: bool = False
    ) -> None:
        self.items = items
        self.code = code
        self.hangs = hangs
        self.requests: list[pb.ScreenRequest] = []

    async def Screen(self, request: pb.ScreenRequest, context: grpc.aio.ServicerContext) -> pb.ScreenResponse:  # type: ignore[type-arg]  # noqa: N802
        self.requests.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        if self.code is not None:
            await context.abort(self.code, "said by the guards")
        return pb.ScreenResponse(items=self.items)


ITEMS = [Item("1", "one", "d"), Item("2", "two", "d"), Item("3", "three", "d")]
FLAG = pb.ScreenFinding(guard="terms", category="TERM", action="flag", mode="enforce")
SHADOW = pb.ScreenFinding(guard="links", category="LINK", action="block", mode="shadow")
BLOCK = pb.ScreenFinding(
    guard="injection", category="PROMPT_INJECTION", score=0.75, reason="why", action="block", mode="enforce"
)
ANSWERS = [
    pb.ScreenedItem(id="1", verdict=pb.ScreenedItem.VERDICT_ALLOW, findings=[FLAG]),
    pb.ScreenedItem(id="2", verdict=pb.ScreenedItem.VERDICT_REDACT, text="<X>"),
    pb.ScreenedItem(id="3", verdict=pb.ScreenedItem.VERDICT_DROP, findings=[FLAG, SHADOW, BLOCK]),
]


async def test_verdicts_come_back_in_order() -> None:
    guards = FakeGuards(ANSWERS)
    enter(Call("/run"))
    async with channel_for(guards) as channel:
        told = await GuardClient(channel, 5, "auto").screen(Reading.TOOL_RESULT, "helper", ITEMS)
    assert told[0] == ScreeningVerdict("one")
    assert told[1].text == "<X>"
    assert told[2] == ScreeningVerdict(None, "injection", "PROMPT_INJECTION: why", 0.75)
    (request,) = guards.requests
    assert (request.agent, request.stage) == ("helper", pb.ScreenRequest.STAGE_TOOL_RESULT)
    assert [(item.id, item.text, item.source) for item in request.items] == [
        ("1", "one", "d"),
        ("2", "two", "d"),
        ("3", "three", "d"),
    ]


@pytest.mark.parametrize(
    ("guards", "kind"),
    [
        (FakeGuards(ANSWERS[:2]), ErrorKind.UNAVAILABLE),
        (FakeGuards(code=grpc.StatusCode.UNAVAILABLE), ErrorKind.UNAVAILABLE),
        (FakeGuards(code=grpc.StatusCode.PERMISSION_DENIED), ErrorKind.PERMISSION_DENIED),
    ],
)
async def test_what_is_no_answer_is_an_error(guards: FakeGuards, kind: ErrorKind) -> None:
    enter(Call("/run"))
    async with channel_for(guards) as channel:
        with pytest.raises(DomainError) as raised:
            await GuardClient(channel, 5, "auto").screen(Reading.PASSAGE, "helper", ITEMS)
    assert raised.value.kind is kind


async def test_a_verdict_that_is_not_known_drops() -> None:
    enter(Call("/run"))
    async with channel_for(FakeGuards([pb.ScreenedItem(id="1", text="one")])) as channel:
        (told,) = await GuardClient(channel, 5, "auto").screen(Reading.PASSAGE, "helper", ITEMS[:1])
    assert told.text is None


@asynccontextmanager
async def asking(*gateways: FakeGuards, timeout: float = 5, attempts: int = 3) -> AsyncIterator[GuardClient]:
    """A client of these gateways, asked in turn."""
    async with AsyncExitStack() as stack:
        addresses = [await stack.enter_async_context(serving(one)) for one in gateways]
        channel = await stack.enter_async_context(open_channel("ipv4:" + ",".join(addresses)))
        yield GuardClient(channel, timeout, "auto", attempts)


async def screened(client: GuardClient) -> list[str | None]:
    return [one.text for one in await client.screen(Reading.PASSAGE, "helper", ITEMS)]


@pytest.mark.parametrize(
    "fault",
    [
        {"hangs": True},
        {"code": grpc.StatusCode.UNAVAILABLE},
        {"code": grpc.StatusCode.RESOURCE_EXHAUSTED},
        {"code": grpc.StatusCode.INTERNAL},
        {"code": grpc.StatusCode.UNKNOWN},
        {"items": ANSWERS[:2]},
    ],
    ids=str,
)
async def test_another_gateway_is_asked_where_one_hangs_or_fails(fault: dict[str, Any]) -> None:
    ill, well = FakeGuards(**fault), FakeGuards(ANSWERS)
    enter(Call("/run"))
    async with asking(ill, well, timeout=0.5) as client:
        for _ in range(4):
            assert await screened(client) == ["one", "<X>", None]
    assert ill.requests
    assert len(well.requests) == 4


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    ],
)
async def test_a_refusal_is_no_reason_to_ask_another_one(code: grpc.StatusCode) -> None:
    one, two = FakeGuards(code=code), FakeGuards(code=code)
    enter(Call("/run"))
    async with asking(one, two) as client:
        with pytest.raises(DomainError) as raised:
            await screened(client)
    assert raised.value.kind is ErrorKind(code.value[0])
    assert len(one.requests) + len(two.requests) == 1


@pytest.mark.parametrize("fault", [{"hangs": True}, {"code": grpc.StatusCode.INTERNAL}], ids=str)
async def test_all_gone_is_said_after_so_many_attempts(fault: dict[str, Any]) -> None:
    gateways = [FakeGuards(**fault) for _ in range(2)]
    enter(Call("/run"))
    async with asking(*gateways, timeout=0.1) as client:
        with pytest.raises(DomainError) as raised:
            await screened(client)
    assert raised.value.kind is ErrorKind.UNAVAILABLE
    assert sum(len(one.requests) for one in gateways) == 3


async def test_a_run_whose_time_is_over_asks_nobody_else() -> None:
    hanging = FakeGuards(hangs=True)
    enter(Call("/run", deadline=time.monotonic() + 0.2))
    async with asking(hanging, attempts=100) as client:
        with pytest.raises(DomainError) as raised:
            await screened(client)
    assert raised.value.kind is ErrorKind.DEADLINE_EXCEEDED
    assert len(hanging.requests) == 1


@pytest.mark.parametrize(
    ("when_gone", "reads", "with_tools", "without"),
    [
        ("auto", SCREENED, True, False),
        ("auto", CLOSED, True, True),
        ("auto", None, True, True),
        ("closed", SCREENED, True, True),
        ("open", SCREENED, False, False),
        ("open", None, False, False),
        ("open", CLOSED, True, True),
    ],
)
async def test_what_happens_without_guards_is_a_setting_and_the_policys(
    when_gone: WhenGone, reads: str | None, with_tools: bool, without: bool
) -> None:
    enter(Call("/run", {READS_KEY: reads} if reads else {}))
    async with channel_for(FakeGuards()) as channel:
        client = GuardClient(channel, 1, when_gone)
    assert (client.closed(tools=True), client.closed(tools=False)) == (with_tools, without)


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({}, True),
        ({READS_KEY: ""}, True),
        ({READS_KEY: SCREENED}, True),
        ({READS_KEY: CLOSED}, True),
        ({READS_KEY: UNSCREENED}, False),
    ],
)
async def test_only_the_gateways_word_keeps_the_guards_from_being_asked(metadata: dict[str, str], wanted: bool) -> None:
    enter(Call("/run", metadata))
    async with channel_for(FakeGuards()) as channel:
        assert GuardClient(channel, 5, "auto").wanted() is wanted
