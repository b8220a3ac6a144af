"""The guards' client, against the real servicer over a channel."""

from collections.abc import Sequence

import grpc
import pytest
from headworks.gateway.v1 import guard_service_pb2 as pb
from headworks.gateway.v1 import guard_service_pb2_grpc as pb_grpc

from services.orchestrator.adapters.guard_client import GuardClient, WhenGone
from services.orchestrator.agents.loop.screener import Item, Reading, ScreeningVerdict
from services.runtime.call import READS_KEY, UNSCREENED, Call, enter
from services.runtime.errors import DomainError, ErrorKind
from tests.fakes.serving import channel_for


class FakeGuards(pb_grpc.GuardServiceServicer):
    """Answers with `items`, or fails."""

    def __init__(self, items: Sequence[pb.ScreenedItem] = (), code: grpc.StatusCode | None = None) -> None:
        self.items = items
        self.code = code
        self.requests: list[pb.ScreenRequest] = []

    async def Screen(self, request: pb.ScreenRequest, context: grpc.aio.ServicerContext) -> pb.ScreenResponse:  # type: ignore[type-arg]  # noqa: N802
        self.requests.append(request)
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


@pytest.mark.parametrize(
    ("when_gone", "with_tools", "without"), [("auto", True, False), ("closed", True, True), ("open", False, False)]
)
async def test_what_happens_without_guards_is_a_setting(when_gone: WhenGone, with_tools: bool, without: bool) -> None:
    async with channel_for(FakeGuards()) as channel:
        client = GuardClient(channel, 1, when_gone)
    assert (client.closed(tools=True), client.closed(tools=False)) == (with_tools, without)


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [({}, True), ({READS_KEY: ""}, True), ({READS_KEY: "all"}, True), ({READS_KEY: UNSCREENED}, False)],
)
async def test_only_the_gateways_word_keeps_the_guards_from_being_asked(metadata: dict[str, str], wanted: bool) -> None:
    enter(Call("/run", metadata))
    async with channel_for(FakeGuards()) as channel:
        assert GuardClient(channel, 5, "auto").wanted() is wanted
