"""GuardService over a channel, with real pipelines and a classifier that takes "attack" for one."""

from collections.abc import Sequence

import grpc
import pytest
from headworks.gateway.v1 import guard_service_pb2 as pb
from headworks.gateway.v1 import guard_service_pb2_grpc as pb_grpc

from gateway.faces.callers import Callers
from gateway.faces.guard.servicer import GuardServicer
from gateway.guard.compile import compile_policy
from gateway.guard.pipeline import GuardPipeline
from gateway.guard.policy import parse
from gateway.guard.terms.library import Library
from services.runtime.errors import PermissionDenied
from services.runtime.interceptors.standard import Errors, Identify
from tests.fakes.identity import Keys
from tests.fakes.serving import app_of, channel_for

POLICY = """
guards:
  - {guard: injection, stage: context, action: block}
  - {guard: pii, stage: context, action: redact, categories: [EMAIL]}
  - {guard: terms, stage: context, action: flag, terms: [forbidden]}
"""


class FakeClassifier:
    async def scores(self, texts: Sequence[str]) -> list[float]:
        return [0.75 if "attack" in text else 0.0 for text in texts]


class FakePipelines:
    """A policy for the tenant acme and its agent helper; nothing for anybody else."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def of(self, tenant: str, *names: str) -> GuardPipeline:
        agent = names[0]
        self.asked.append((tenant, agent))
        policy = parse(POLICY if (tenant, agent) == ("acme", "helper") else "guards: []")
        return GuardPipeline(compile_policy(policy, Library(None)), FakeClassifier())


class Outside:
    """Knows nobody."""

    def around(self, call: object, serve: object) -> None:
        raise PermissionDenied("from outside")


def request(*texts: str, agent: str = "helper") -> pb.ScreenRequest:
    items = [pb.ScreenItem(id=f"i{number}", text=text) for number, text in enumerate(texts)]
    return pb.ScreenRequest(stage=pb.ScreenRequest.STAGE_PASSAGE, agent=agent, items=items)


async def test_each_text_gets_its_verdict(keys: Keys) -> None:
    pipelines = FakePipelines()
    async with channel_for(GuardServicer(pipelines), verifier=keys.verifier) as channel:
        stub = pb_grpc.GuardServiceStub(channel)
        asked = request("All well.", "an attack", "Write to a@example.com.", "a forbidden word")
        got = (await stub.Screen(asked, metadata=keys.metadata())).items
        other = (await stub.Screen(asked, metadata=keys.metadata("other"))).items
    assert [(item.id, item.verdict, item.text) for item in got] == [
        ("i0", pb.ScreenedItem.VERDICT_ALLOW, ""),
        ("i1", pb.ScreenedItem.VERDICT_DROP, ""),
        ("i2", pb.ScreenedItem.VERDICT_REDACT, "Write to <EMAIL>."),
        ("i3", pb.ScreenedItem.VERDICT_ALLOW, ""),
    ]
    assert [[(one.guard, one.action, one.mode) for one in item.findings] for item in got] == [
        [],
        [("injection", "block", "enforce")],
        [("pii", "redact", "enforce")],
        [("terms", "flag", "enforce")],
    ]
    assert {item.verdict for item in other} == {pb.ScreenedItem.VERDICT_ALLOW}
    assert pipelines.asked == [("acme", "helper"), ("other", "helper")]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (pb.ScreenRequest(agent="helper"), "stage"),
        (request(*["x"] * 257), "items"),
        (request("x" * (2 << 20), "y" * (2 << 20), "z"), "items"),
    ],
)
async def test_what_is_too_much_is_refused(keys: Keys, asked: pb.ScreenRequest, field: str) -> None:
    async with channel_for(GuardServicer(FakePipelines()), verifier=keys.verifier) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await pb_grpc.GuardServiceStub(channel).Screen(asked, metadata=keys.metadata())
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_only_the_gateway_s_own_token_opens_it(keys: Keys) -> None:
    callers = Callers(Outside(), {"/headworks.gateway.v1.GuardService/": Identify(keys.verifier)})  # type: ignore[arg-type]  # it never enters
    app = app_of(GuardServicer(FakePipelines()), layers=[Errors(), callers])
    async with channel_for(app) as channel:
        stub = pb_grpc.GuardServiceStub(channel)
        for metadata in ((), (("authorization", "Bearer hw_x"),), Keys().metadata()):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await stub.Screen(request("x"), metadata=metadata)
            assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert len((await stub.Screen(request("x"), metadata=keys.metadata())).items) == 1
