"""Services behind the gateway believe its token only."""

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime import call as calls
from services.runtime import statuses
from services.runtime.identity import IDENTITY_KEY, Identity, TokenSigner
from tests.fakes.identity import Keys
from tests.fakes.serving import channel_for, generic


async def whose(request: bytes, context: Any) -> bytes:
    return calls.current().tenant.encode()


APP = generic("test.I", {"Whose": grpc.unary_unary_rpc_method_handler(whose)})


@pytest.mark.parametrize("tenant", ["acme", "other"])
async def test_the_caller_is_who_the_token_says(keys: Keys, tenant: str) -> None:
    async with channel_for(APP, verifier=keys.verifier) as channel:
        assert await channel.unary_unary("/test.I/Whose")(b"", metadata=keys.metadata(tenant)) == tenant.encode()


@pytest.mark.parametrize("metadata", [(), ((IDENTITY_KEY, ""),), ((IDENTITY_KEY, "x.y.z"),), Keys().metadata()])
async def test_without_a_good_token_nothing_is_served(keys: Keys, metadata: tuple[tuple[str, str], ...]) -> None:
    async with channel_for(APP, verifier=keys.verifier) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.I/Whose")(b"", metadata=metadata)
    info = statuses.error_info(caught.value)
    assert (caught.value.code(), info and info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def left(request: bytes, context: Any) -> bytes:
    return str(calls.current().remaining).encode()


async def test_a_token_has_to_be_good_when_a_call_begins_and_its_deadline_says_when_it_ends(keys: Keys) -> None:
    """An upload may take an hour, and a token two minutes."""
    app = generic("test.I", {"Left": grpc.unary_unary_rpc_method_handler(left)})
    token = TokenSigner(keys.private_pem, 20).token(Identity("acme", "ann"))
    async with channel_for(app, verifier=keys.verifier) as channel:
        answered = await channel.unary_unary("/test.I/Left")(b"", metadata=((IDENTITY_KEY, token),), timeout=100)
        ended = TokenSigner(keys.private_pem, -20).token(Identity("acme", "ann"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/test.I/Left")(b"", metadata=((IDENTITY_KEY, ended),), timeout=100)
    assert 90 < float(answered) <= 100
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_needs_no_token(keys: Keys) -> None:
    async with channel_for(APP, verifier=keys.verifier) as channel:
        answered = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answered.status != health_pb2.HealthCheckResponse.UNKNOWN
