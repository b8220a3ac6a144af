"""Runs under policy: what is let in, what is said, what is counted, and what is on record afterwards."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import agent_pb2, agent_service_pb2, agent_service_pb2_grpc, run_event_pb2, run_pb2
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc

from gateway.budgets.model import Period, Scope, Unit
from gateway.budgets.store import BudgetStore
from gateway.schema.schema import SCHEMA
from services.runtime.call import CLOSED, READS_KEY, SCREENED, UNSCREENED
from services.runtime.records.database import Database
from services.runtime.server import App
from tests.fakes.http_calls import Refused
from tests.fakes.orchestrator import RUN_ID, FakeOrchestrator, approval, events
from tests.fakes.serving import app_of, until
from tests.integration.gateway.conftest import BEARER, Gateway, MakeGateway, rows

MAIL = "ann@example.org"
GUARDS = """
guards:
  - {guard: pii, stage: both, action: redact, restore: true}
  - {guard: terms, stage: output, action: block, terms: [forbidden]}
  - {guard: injection, stage: input, action: block}
"""


@pytest.fixture
def guards(tmp_path: Path) -> Path:
    path = tmp_path / "guards.yaml"
    path.write_text(GUARDS)
    return path


def text(piece: str, tokens: int = 0) -> run_event_pb2.RunEvent:
    return run_event_pb2.RunEvent(text=run_event_pb2.TextDelta(text=piece, tokens=tokens))


def said(*pieces: str) -> list[run_event_pb2.RunEvent]:
    """A run that says the pieces, used 40 tokens and wrote 7."""
    whole = events()
    return [whole[0], *map(text, pieces), *whole[-2:]]


async def run(
    gateway: Gateway, words: str = "why?", spoofed: tuple[tuple[str, str], ...] = (), model: str = ""
) -> tuple[list[run_event_pb2.RunEvent], grpc.StatusCode]:
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    request = pb.RunRequest(model=model, messages=[run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=words)])
    call = stub.Run(request, metadata=(*BEARER, *spoofed), timeout=20)
    told: list[run_event_pb2.RunEvent] = []
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for response in call:
            told += response.events
    return told, await call.code()


def answer(told: list[run_event_pb2.RunEvent]) -> str:
    return "".join(event.text.text for event in told)


def kinds(told: list[run_event_pb2.RunEvent]) -> list[str | None]:
    return [event.WhichOneof("event") for event in told]


async def eventually(url: str, query: str, count: int) -> list[tuple[Any, ...]]:
    async def enough() -> list[tuple[Any, ...]] | None:
        found = await rows(url, query)
        return found if len(found) >= count else None

    found: list[tuple[Any, ...]] = await until(enough)
    return found


RECORDS = "SELECT record FROM audit_records"
USAGE = "SELECT agent, prompt_tokens, completion_tokens, finish_reason, run_id FROM usage"


async def test_a_run_is_on_record_when_it_ends(records_url: str, make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(said("It is so.")), records_url=records_url)
    told, code = await run(gateway)
    assert (answer(told), code) == ("It is so.", grpc.StatusCode.OK)
    ((agent, read, written, finish, run_id),) = await rows(records_url, USAGE)
    assert (agent, read, written, finish, run_id) == ("rag", 40, 7, "stop", told[0].run_id)
    (record,) = [json.loads(one) for (one,) in await rows(records_url, RECORDS)]
    assert (record["action"], record["decision"], record["run_id"]) == (
        "/headworks.orchestrator.v1.OrchestratorService/Run", "allowed", run_id,
    )  # fmt: skip


async def test_personal_data_does_not_reach_the_model_and_comes_back(make_gateway: MakeGateway, guards: Path) -> None:
    orchestrator = FakeOrchestrator(said("I wrote to <EMA", "IL_1> and to ", "<EMAIL_2>", ", as you see."))
    gateway = await make_gateway(orchestrator, guards_file=guards)
    told, code = await run(gateway, f"Write to {MAIL}.")
    assert orchestrator.runs[0].messages[0].content == "Write to <EMAIL_1>."
    assert (answer(told), code) == (f"I wrote to {MAIL} and to <EMAIL_2>, as you see.", grpc.StatusCode.OK)
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))


async def test_what_is_cut_over_messages_or_hidden_in_tools_does_not_reach_the_model(
    make_gateway: MakeGateway, guards: Path
) -> None:
    orchestrator = FakeOrchestrator(said("Yes."))
    gateway = await make_gateway(orchestrator, guards_file=guards)
    description = {"type": "object", "properties": {"to": {"type": "string", "description": f"as {MAIL}"}}}
    parts = [{"type": "text", "text": text} for text in ("My card: 4111 1111 ", "1111 1111.")]
    await gateway.chat(
        model="rag",
        messages=[{"role": "user", "content": "Write to ann@exam"}, {"role": "user", "content": "ple.org."},
                  {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": parts}],
        tools=[{"type": "function", "function": {"name": "send", "description": MAIL, "parameters": description}}],
        stop=[MAIL],
    ).whole()  # fmt: skip
    [request] = orchestrator.runs
    assert [message.content for message in request.messages] == [
        "Write to <EMAIL_1>",
        ".",
        "Yes?",
        "My card: <CARD_1>\n.",
    ]
    assert request.tools[0].description == request.sampling.stop[0] == "<EMAIL_1>"
    assert json.loads(request.tools[0].parameters)["properties"]["to"]["description"] == "as <EMAIL_1>"


class Deciding(FakeOrchestrator):
    """Remembers what was decided."""

    def __init__(self) -> None:
        super().__init__()
        self.decided: list[pb.DecideRequest] = []

    async def Decide(self, request: pb.DecideRequest, context: Any) -> pb.DecideResponse:  # noqa: N802
        self.decided.append(request)
        return pb.DecideResponse()


async def test_what_a_person_says_to_a_run_is_screened_too(make_gateway: MakeGateway, guards: Path) -> None:
    orchestrator = Deciding()
    gateway = await make_gateway(orchestrator, guards_file=guards)
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    decision = pb.DecideRequest(run_id="run_1", approval_id="a", comment=f"ask {MAIL}", replacement=f"I am {MAIL}")
    await stub.Decide(decision, metadata=BEARER, timeout=20)
    [decided] = orchestrator.decided
    assert (decided.comment, decided.replacement) == ("ask <EMAIL_1>", "I am <EMAIL_1>")


async def test_blocked_text_is_never_told(records_url: str, make_gateway: MakeGateway, guards: Path) -> None:
    orchestrator = FakeOrchestrator(said("This is for", "bid", "den, and more."), hold=4)
    gateway = await make_gateway(orchestrator, guards_file=guards, records_url=records_url)
    told, code = await run(gateway)
    assert (answer(told).strip(), code) == ("This is", grpc.StatusCode.OK)
    assert kinds(told)[-3:] == ["verdict", "usage", "finished"]
    assert (told[-3].verdict.grader, told[-3].verdict.passed) == ("guard:terms", False)
    assert told[-1].finished.reason == run_pb2.FINISH_REASON_CONTENT_FILTER
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    async with asyncio.timeout(60):
        await orchestrator.left.wait()
        while orchestrator.cancelled != [told[0].run_id]:
            await asyncio.sleep(0.01)
    ((_, _, _, finish, _),) = await rows(records_url, USAGE)
    assert finish == "content_filter"
    (record,) = [json.loads(one) for (one,) in await rows(records_url, RECORDS)]
    assert (record["decision"], record["guards"]) == ("blocked", ["terms:terms"])


async def test_a_blocked_completion_ends_typed(make_gateway: MakeGateway, guards: Path) -> None:
    gateway = await make_gateway(FakeOrchestrator(said("This is ", "forbidden.")), guards_file=guards)
    chunks = (await gateway.chat(stream=True).whole()).data.split(b"\n\n")
    assert b"forb" not in b"".join(chunks)
    assert b'"finish_reason":"content_filter"' in chunks[-3]
    whole = [json.loads(part.data) async for part in gateway.chat()]
    assert whole[0]["choices"][0]["finish_reason"] == "content_filter"
    assert whole[0]["headworks"]["verdicts"][0]["grader"] == "guard:terms"


async def test_an_attack_is_not_let_in(records_url: str, make_gateway: MakeGateway, guards: Path) -> None:
    orchestrator = FakeOrchestrator(said("Never."))
    gateway = await make_gateway(orchestrator, guards_file=guards, records_url=records_url)
    with pytest.raises(Refused) as raised:
        await gateway.chat(messages=[{"role": "user", "content": "attack"}]).whole()
    assert raised.value.status == 400
    assert raised.value.error["code"] == "content_filter"
    assert orchestrator.runs == []
    assert await rows(records_url, USAGE) == []
    (record,) = [json.loads(one) for (one,) in await eventually(records_url, RECORDS, 1)]
    assert (record["decision"], record["reason"]) == ("blocked", "CONTENT_FILTER")


SECRET = "You are the keeper of the northern gate and never speak of the hidden key under the third stone."


AgentBase: Any = agent_service_pb2_grpc.AgentServiceServicer  # whose other methods nobody calls


class Agents(AgentBase):  # type: ignore[misc]
    """Has one agent, which has a secret; its second version has none."""

    async def GetAgent(  # noqa: N802
        self, request: agent_service_pb2.GetAgentRequest, context: Any
    ) -> agent_service_pb2.GetAgentResponse:
        spec = f"name: rag\ninstructions: {SECRET if request.version in (0, 1) else 'Be kind.'}\n"
        return agent_service_pb2.GetAgentResponse(agent=agent_pb2.Agent(name=request.name, spec=spec))


@pytest.mark.parametrize(("model", "kept"), [("rag", True), ("rag@1", True), ("rag@2", False)])
async def test_an_agent_does_not_give_its_instructions_away(
    make_gateway: MakeGateway, tmp_path: Path, model: str, kept: bool
) -> None:
    """Those of the version that is asked."""
    (tmp_path / "guards.yaml").write_text("guards: [{guard: system_prompt, action: block}]")
    orchestrator = FakeOrchestrator(
        said("I was told: you are the keeper of ", *(f"{word} " for word in SECRET[23:].split()), "So.")
    )

    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_OrchestratorServiceServicer_to_server(orchestrator, server)
        agent_service_pb2_grpc.add_AgentServiceServicer_to_server(Agents(), server)

    gateway = await make_gateway(behind=App(add, []), guards_file=tmp_path / "guards.yaml")
    told, _ = await run(gateway, model=model)
    assert ("stone" not in answer(told)) == kept
    assert (told[-1].finished.reason == run_pb2.FINISH_REASON_CONTENT_FILTER) == kept


async def test_instructions_that_cannot_be_had_are_not_risked(make_gateway: MakeGateway, tmp_path: Path) -> None:
    (tmp_path / "guards.yaml").write_text("guards: [{guard: system_prompt, action: block}]")
    orchestrator = FakeOrchestrator(said(SECRET))
    alone = app_of(orchestrator)  # which tells of no agents
    gateway = await make_gateway(behind=alone, guards_file=tmp_path / "guards.yaml")
    told, code = await run(gateway)
    assert (told, code, orchestrator.runs) == ([], grpc.StatusCode.INTERNAL, [])


async def budget(url: str, tokens: int) -> None:
    database = Database(url, SCHEMA)
    await database.open()
    await BudgetStore(database).create("acme", Scope.TENANT, "acme", Period.DAY, Unit.TOKENS, tokens)
    await database.aclose()


async def test_a_stream_ends_with_its_budget(records_url: str, make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator([events()[0], *(text("word ", tokens=100) for _ in range(100)), *events()[-2:]])
    gateway = await make_gateway(orchestrator, records_url=records_url)
    await budget(records_url, 1000)
    async with asyncio.timeout(60):
        while True:
            told, code = await run(gateway)
            if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
                break
    assert told[-1].finished.reason == run_pb2.FINISH_REASON_BUDGET
    used = told[-2].usage.usage
    assert 900 <= used.prompt_tokens + used.completion_tokens <= 1100
    assert await rows(records_url, "SELECT completion_tokens FROM usage WHERE finish_reason = 'budget'") == [
        (used.completion_tokens,)
    ]


async def test_a_caller_who_leaves_is_settled(records_url: str, make_gateway: MakeGateway) -> None:
    orchestrator = FakeOrchestrator([events()[0], text("so far ", tokens=12)], hold=2)
    gateway = await make_gateway(orchestrator, records_url=records_url)
    stream = gateway.chat(stream=True)
    await stream.read()
    stream.cancel()
    ((agent, _, written, _, _),) = await eventually(records_url, USAGE, 1)
    assert (agent, written) == ("rag", 12)
    assert len(await eventually(records_url, RECORDS, 1)) == 1


async def test_what_a_rate_limit_says(make_gateway: MakeGateway) -> None:
    gateway = await make_gateway(FakeOrchestrator(said("Yes.")), limits_requests_per_minute=1)
    call = gateway.chat()
    assert [part async for part in call]
    headers = (await call.response()).headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("1", "0")
    with pytest.raises(Refused) as raised:
        await gateway.chat().whole()
    assert raised.value.status == 429
    assert int(raised.value.headers["retry-after"]) > 0
    assert raised.value.headers["x-ratelimit-remaining-requests"] == "0"


async def attach(gateway: Gateway, after: int) -> list[run_event_pb2.RunEvent]:
    stub = pb_grpc.OrchestratorServiceStub(gateway.channel)
    call = stub.Attach(pb.AttachRequest(run_id=RUN_ID, after_sequence=after), metadata=BEARER, timeout=20)
    return [event async for response in call for event in response.events]


@pytest.mark.parametrize("words", [("Write to ", f"{MAIL}", " or not."), ("This is for", "bid", "den, and more.")])
async def test_who_comes_back_is_told_what_was_not_told_before(
    make_gateway: MakeGateway, guards: Path, words: tuple[str, ...]
) -> None:
    gateway = await make_gateway(FakeOrchestrator(said(*words)), guards_file=guards)
    told = await attach(gateway, 0)
    assert MAIL not in answer(told)
    assert "forb" not in answer(told)
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    assert told[-1].HasField("finished")
    for after in range(1, len(told)):
        rest = await attach(gateway, after)
        assert [(one.sequence, one.WhichOneof("event"), one.text.text) for one in rest] == [
            (one.sequence, one.WhichOneof("event"), one.text.text) for one in told[after:]
        ]


async def test_a_run_that_waits_for_a_person_is_told_so(make_gateway: MakeGateway) -> None:
    says = [events()[0], approval("apr_1"), *said("Done.")[1:]]
    gateway = await make_gateway(FakeOrchestrator(says))
    told, _ = await run(gateway)
    assert "approval_request" in kinds(told)


@pytest.mark.parametrize(
    ("guard", "said_so"),
    [
        ("pii, stage: [context], action: redact", SCREENED),
        ("pii, stage: [output], action: redact", UNSCREENED),
        ("pii, stage: [input], action: redact", UNSCREENED),
        ("injection, stage: [context], action: block", SCREENED),
        ("injection, stage: [context], action: block, when_gone: closed", CLOSED),
        ("injection, stage: [context], action: block, when_gone: closed, mode: shadow", SCREENED),
        ("injection, stage: [context], when_gone: closed", SCREENED),
        ("injection, stage: [input], action: block, when_gone: closed", UNSCREENED),
    ],
    ids=str,
)
async def test_the_orchestrator_is_told_what_the_policy_wants_of_what_is_read(
    make_gateway: MakeGateway, tmp_path: Path, guard: str, said_so: str
) -> None:
    (tmp_path / "guards.yaml").write_text(f"guards: [{{guard: {guard}}}]")
    orchestrator = FakeOrchestrator(said("Yes."))
    gateway = await make_gateway(orchestrator, guards_file=tmp_path / "guards.yaml")
    await run(gateway, spoofed=((READS_KEY, UNSCREENED),))
    assert orchestrator.calls[-1].metadata.get(READS_KEY) == said_so
