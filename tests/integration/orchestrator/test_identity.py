"""The orchestrator renews the identities of its runs at the gateway: over the wire, at the private socket."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from headworks.orchestrator.v1 import orchestrator_service_pb2 as pb
from headworks.orchestrator.v1 import orchestrator_service_pb2_grpc as pb_grpc
from headworks.orchestrator.v1 import run_event_pb2, run_pb2

from services.orchestrator.adapters.identity_client import IdentityClient
from services.runtime import statuses
from services.runtime.channels import open_channel
from services.runtime.errors import DomainError, ErrorKind
from services.runtime.identity import REFRESH_KEY
from tests.fakes.identity import Keys
from tests.fakes.renewing import FakeGateway, KeysFile, renewing
from tests.integration.orchestrator.test_killed import Replica

TOKEN_SECONDS = 3.0
# Of a run that counts: several tokens.
RUN_SECONDS = 8.0


@pytest.fixture
async def gateway(keys: Keys, tmp_path: Path) -> AsyncIterator[FakeGateway]:
    (tmp_path / "public.pem").write_bytes(keys.public_pem)
    async with renewing(keys, tmp_path, TOKEN_SECONDS) as gateway:
        yield gateway


def slowly() -> pb.RunRequest:
    question = run_pb2.Message(role=run_pb2.Message.ROLE_USER, content=f"slowly {RUN_SECONDS}")
    return pb.RunRequest(messages=[question])


async def run(stub: pb_grpc.OrchestratorServiceStub, metadata: Any) -> tuple[run_event_pb2.RunEvent, str]:
    """The run's last event, and the reason of the error that it ended by."""
    events: list[run_event_pb2.RunEvent] = []
    async with asyncio.timeout(30):
        stream: Any = stub.Run(slowly(), metadata=metadata)
        try:
            while (response := await stream.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                events += response.events
        except grpc.aio.AioRpcError as error:
            info = statuses.error_info(error)
            return events[-1], info.reason if info else ""
    return events[-1], ""


async def test_a_run_of_several_tokens(gateway: FakeGateway, tmp_path: Path) -> None:
    """Each of its numbers is said under a token that is good at that moment."""
    async with Replica(tmp_path, f"sqlite:///{tmp_path}/runs.db", "orchestrator-0", gateway).up() as stub:
        began = time.monotonic()
        last, _ = await run(stub, gateway.metadata())
    assert time.monotonic() - began > 2 * TOKEN_SECONDS
    assert last.finished.reason == run_pb2.FINISH_REASON_STOP


async def test_without_a_refresh_token_it_ends_with_its_token(gateway: FakeGateway, tmp_path: Path) -> None:
    async with Replica(tmp_path, f"sqlite:///{tmp_path}/runs.db", "orchestrator-0", gateway).up() as stub:
        last, reason = await run(stub, [pair for pair in gateway.metadata() if pair[0] != REFRESH_KEY])
    assert (last.finished.reason, reason) == (run_pb2.FINISH_REASON_ERROR, "RUN_IDENTITY_REFUSED")


async def test_a_run_whose_key_is_revoked_ends_within_the_life_of_a_token(gateway: FakeGateway, tmp_path: Path) -> None:
    async with Replica(tmp_path, f"sqlite:///{tmp_path}/runs.db", "orchestrator-0", gateway).up() as stub:
        running = asyncio.create_task(run(stub, gateway.metadata()))
        await asyncio.sleep(0.5)
        gateway.file.revoke()
        revoked = time.monotonic()
        last, reason = await running
    assert (last.finished.reason, reason) == (run_pb2.FINISH_REASON_ERROR, "RUN_IDENTITY_REFUSED")
    assert time.monotonic() - revoked < TOKEN_SECONDS + 1, "half a token, and a second until the file is read"


async def test_nobody_renews_at_the_port(gateway: FakeGateway, keys: Keys) -> None:
    """Not even with a good refresh token."""
    refresh = gateway.tokens.refresh_token(KeysFile.whose)
    async with open_channel(gateway.target) as at_socket, open_channel(gateway.address) as at_port:
        fresh = await IdentityClient(at_socket, keys.verifier, 5).exchange("run_1", refresh)
        assert fresh.identity == KeysFile.whose
        with pytest.raises(DomainError) as caught:
            await IdentityClient(at_port, keys.verifier, 5).exchange("run_1", refresh)
    assert caught.value.kind is ErrorKind.PERMISSION_DENIED


async def test_a_token_that_was_stolen_renews_nothing(gateway: FakeGateway, keys: Keys) -> None:
    stolen = gateway.tokens.identity_token(KeysFile.whose)
    async with open_channel(gateway.target) as channel:
        with pytest.raises(DomainError) as caught:
            await IdentityClient(channel, keys.verifier, 5).exchange("run_1", stolen)
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.UNAUTHENTICATED, "RUN_IDENTITY_REFUSED")


async def test_a_token_of_another_gateway_is_not_taken(gateway: FakeGateway) -> None:
    refresh = gateway.tokens.refresh_token(KeysFile.whose)
    async with open_channel(gateway.target) as channel:
        with pytest.raises(DomainError, match="cannot be verified") as caught:
            await IdentityClient(channel, Keys().verifier, 5).exchange("run_1", refresh)
    assert caught.value.kind is ErrorKind.UNAVAILABLE
