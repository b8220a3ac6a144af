"""PromptService over a channel, and agents whose instructions are a prompt."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import prompt_service_pb2 as pb
from headworks.orchestrator.v1 import prompt_service_pb2_grpc as pb_grpc

from services.llm.chat import Message, Role
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.registry import Registry
from services.orchestrator.agents.service import AgentService
from services.orchestrator.agents.specs.errors import BadAgent, MayNotGive, PromptUnavailable
from services.orchestrator.agents.specs.store import AgentStore
from services.orchestrator.domain.event import ApprovalDecided, Started
from services.orchestrator.prompts.service import PromptService
from services.orchestrator.prompts.store import PromptStore
from services.orchestrator.runs.agent import RunInput
from services.orchestrator.runs.execution import RunTerms
from services.orchestrator.runs.executor import Executor
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.servicers.prompts import PromptServicer
from services.runtime.channels import open_channel
from services.runtime.records.errors import RecordsUnavailable
from tests.fakes.agents import FakeRetriever
from tests.fakes.identity import Keys
from tests.fakes.models import ScriptedGenerator, catalogue, says, turns
from tests.fakes.serving import app_of, serving, until
from tests.fixtures.runs import opened_records
from tests.integration.orchestrator.conftest import OpenExecutor
from tests.integration.orchestrator.test_agents import as_tenant, refused
from tests.integration.orchestrator.test_takeover import crash

TONE = """\
name: tone
description: How to speak.
variables:
  who: {description: Whom it speaks to.}
  most: {type: integer, default: 2}
messages:
  - {role: system, content: "Speak to {{ who }} in {{ most }} sentences."}
  - {role: user, content: "Hi."}
  - {role: assistant, content: "Good day, {{ who }}."}
"""
AGENT = "name: mine\nmodel: small\ninstructions: {prompt: tone, variables: {who: '{{ tenant }}'}}\n"
QUESTION = RunInput((Message(Role.USER, "why?"),), prompt="asked@4")


@asynccontextmanager
async def stub(keys: Keys, records_url: str) -> AsyncIterator[Any]:
    async with opened_records(records_url) as records:
        servicer = PromptServicer(PromptService(PromptStore(records.database)))
        async with serving(app_of(servicer), verifier=keys.verifier) as address, open_channel(address) as channel:
            yield pb_grpc.PromptServiceStub(channel)


async def test_versions_are_numbered_and_never_change(keys: Keys, records_url: str) -> None:
    mine, other = as_tenant(keys), as_tenant(keys, "other")
    async with stub(keys, records_url) as prompts:
        first = await prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=TONE), **mine)
        again = await prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=f"# the same\n{TONE}"), **mine)
        assert (first.prompt.version, first.changed, again.prompt.version, again.changed) == (1, True, 1, False)
        assert [(each.name, each.type, each.required, each.default) for each in first.prompt.variables] == [
            ("who", "string", True, ""), ("most", "integer", False, "2"),
        ]  # fmt: skip
        louder = TONE.replace("Speak", "Shout")
        tried = await prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=louder, dry_run=True), **mine)
        assert (tried.prompt.version, tried.changed) == (2, True)
        assert (await prompts.GetPrompt(pb.GetPromptRequest(name="tone"), **mine)).prompt.version == 1
        second = (await prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=louder), **mine)).prompt
        assert (await prompts.GetPrompt(pb.GetPromptRequest(name="tone"), **mine)).prompt == second
        assert (await prompts.GetPrompt(pb.GetPromptRequest(name="tone", version=1), **mine)).prompt == first.prompt
        listed = (await prompts.ListPrompts(pb.ListPromptsRequest(name="tone", page_size=1), **mine)).prompts
        assert [each.version for each in listed] == [2]
        # Back to what it was is one more version.
        assert (await prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=TONE), **mine)).prompt.version == 3
        assert (await prompts.DeletePrompt(pb.DeletePromptRequest(name="tone", version=3), **mine)).deleted == 1
        assert (await prompts.GetPrompt(pb.GetPromptRequest(name="tone"), **mine)).prompt.version == 2
        assert (await prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=TONE), **mine)).prompt.version == 4
        assert not (await prompts.ListPrompts(pb.ListPromptsRequest(), **other)).prompts
        for call in (
            prompts.GetPrompt(pb.GetPromptRequest(name="tone"), **other),
            prompts.GetPrompt(pb.GetPromptRequest(name="tone", version=3), **mine),
            prompts.DeletePrompt(pb.DeletePromptRequest(name="tone"), **other),
            prompts.RenderPrompt(pb.RenderPromptRequest(name="tone"), **other),
        ):
            code, reason, _ = await refused(call)
            assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "PROMPT_NOT_FOUND")


async def test_a_prompt_is_rendered_without_a_model(keys: Keys, records_url: str) -> None:
    async with stub(keys, records_url) as prompts:
        await prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=TONE), **as_tenant(keys))
        request = pb.RenderPromptRequest(name="tone", variables={"who": '"{{ most }}"', "most": "3"})
        rendered = (await prompts.RenderPrompt(request, **as_tenant(keys))).rendered
        assert rendered.prompt == "tone@1"
        assert rendered.messages[0].content == "Speak to {{ most }} in 3 sentences."
        code, reason, message = await refused(
            prompts.RenderPrompt(pb.RenderPromptRequest(name="tone"), **as_tenant(keys))
        )
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_VARIABLES")
        assert "'who' needs a value" in message
        code, reason, message = await refused(
            prompts.ApplyPrompt(pb.ApplyPromptRequest(spec=TONE.replace("who }} in", "whom }} in")), **as_tenant(keys))
        )
        assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_PROMPT")
        assert message.startswith("line 7, messages[0].content: the template names 'whom'")


@dataclass
class Side:
    prompts: PromptService
    agents: AgentService
    registry: Registry
    model: ScriptedGenerator
    records: RunRecords
    open_executor: OpenExecutor

    async def executor(self) -> Executor:
        return await self.open_executor(known=self.registry)

    async def run(self) -> Started:
        """A run of the agent, to its end; what it began with."""
        run = await (await self.executor()).start("acme", "mine", QUESTION, RunTerms(30))
        await run.ended()
        (began,) = [event.body for event in await self.records.events(run.id) if isinstance(event.body, Started)]
        return began


@pytest.fixture
def side(records: RunRecords, open_executor: OpenExecutor) -> Side:
    model = ScriptedGenerator(turns(says("hi")))
    prompts, store = PromptService(PromptStore(records.database)), AgentStore(records.database)
    registry = Registry(store, Kit(catalogue(("small", model), default="small"), FakeRetriever()), prompts=prompts)
    return Side(prompts, AgentService(store, registry), registry, model, records, open_executor)


async def test_an_agents_instructions_are_the_latest_version_of_its_prompt(side: Side) -> None:
    await side.prompts.apply("acme", TONE, dry_run=False)
    await side.agents.apply("acme", AGENT, dry_run=False)
    began = await side.run()
    assert (began.prompt, began.callers_prompt) == ("tone@1", "asked@4")
    asked = [(message.role, message.content) for message in side.model.asked[-1].messages]
    assert asked == [
        (Role.SYSTEM, "Speak to acme in 2 sentences."), (Role.USER, "Hi."), (Role.ASSISTANT, "Good day, acme."),
        (Role.USER, "why?"),
    ]  # fmt: skip
    await side.prompts.apply("acme", TONE.replace("Speak", "Shout"), dry_run=False)
    assert (await side.run()).prompt == "tone@2"
    assert side.model.asked[-1].messages[0].content == "Shout to acme in 2 sentences."
    await side.agents.apply("acme", AGENT.replace("prompt: tone", "prompt: tone@1"), dry_run=False)
    assert (await side.run()).prompt == "tone@1"


async def test_a_run_that_is_taken_up_goes_on_with_its_version(side: Side) -> None:
    await side.prompts.apply("acme", TONE, dry_run=False)
    await side.agents.apply("acme", f"{AGENT}approval: {{run: true}}\n", dry_run=False)
    first = await side.executor()
    run = await first.start("acme", "mine", QUESTION, RunTerms(30, detached=True, refresh_token="token"))
    await until(lambda: run.approvals.pending)
    await run.saved(2)
    await crash(first)
    await side.prompts.apply("acme", TONE.replace("Speak", "Shout"), dry_run=False)
    second = await side.executor()
    found = await until(lambda: second.find("acme", run.id))
    (approval,) = found.approvals.pending
    await second.decide(found, ApprovalDecided(approval, True, "me"))
    await found.ended()
    assert side.model.asked[-1].messages[0].content == "Speak to acme in 2 sentences."


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (AGENT.replace("tone", "nobody"), "line 3, instructions.prompt: .* there is no prompt 'nobody'"),
        (AGENT.replace("tone", "tone@7"), "line 3, instructions.prompt: .* no version 7 of the prompt 'tone'"),
        (AGENT.replace("who:", "whom:"), "it has no variable 'whom'; did you mean 'who'"),
        (AGENT.replace("{{ tenant }}", "{{ tenent }}"), "line 3, instructions.variables: a template is broken"),
        (AGENT.replace("tone", "Tone"), "line 3, instructions"),
    ],
)
async def test_a_prompt_that_an_agent_cannot_use_is_told_when_it_is_applied(side: Side, spec: str, words: str) -> None:
    await side.prompts.apply("acme", TONE, dry_run=False)
    with pytest.raises(BadAgent, match=words):
        await side.agents.apply("acme", spec, dry_run=True)


async def test_who_may_not_read_a_prompt_gives_it_to_no_agent(side: Side) -> None:
    await side.prompts.apply("acme", TONE, dry_run=False)
    with pytest.raises(MayNotGive, match=r"prompts\.read:tone"):
        await side.agents.apply("acme", AGENT, dry_run=False, may=lambda permission: "prompts" not in permission)


async def test_an_agent_whose_prompt_is_gone_says_so(side: Side) -> None:
    await side.prompts.apply("acme", TONE, dry_run=False)
    await side.agents.apply("acme", AGENT, dry_run=False)
    await side.prompts.delete("acme", "tone")
    why = "the agent 'mine' cannot run: there is no prompt 'tone'"
    assert (await side.agents.get("acme", "mine")).unavailable == why
    with pytest.raises(PromptUnavailable, match=why):
        await side.registry.find("acme", "mine")


async def test_while_the_records_are_gone_the_last_version_serves(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    await side.prompts.apply("acme", TONE, dry_run=False)
    await side.prompts.find("acme", "tone")

    async def gone(*_: Any) -> None:
        raise RecordsUnavailable("gone")

    monkeypatch.setattr(PromptStore, "get", gone)
    assert (await side.prompts.find("acme", "tone")).label == "tone@1"
    assert (await side.prompts.find("acme", "tone", 1)).label == "tone@1"
    with pytest.raises(RecordsUnavailable):
        await side.prompts.find("acme", "other")
