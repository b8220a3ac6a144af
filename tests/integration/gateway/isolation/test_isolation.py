"""No tenant reaches another's, by any method there is."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from gateway.access.permissions import HTTP as PATHS
from services.runtime.contract import path
from tests.fakes.identity import Keys
from tests.fixtures.servers import sqlite_url
from tests.integration.gateway.isolation.attempts import Attempt
from tests.integration.gateway.isolation.crossings import CROSSINGS, HTTP
from tests.integration.gateway.isolation.world import API_KEYS, OWNER, SECRET, THIEF, World, world
from tests.unit.gateway.access.test_permissions import METHODS, NOT_SERVED, services


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.full_name))
def test_every_method_has_attempts(method: MethodDescriptor) -> None:
    assert CROSSINGS[method.containing_service.full_name][method.name]


@pytest.mark.parametrize("name", PATHS)
def test_every_path_of_http_has_attempts(name: str) -> None:
    assert HTTP[name]


def attempts() -> list[tuple[str, Attempt]]:
    """All of them by path, those last that make something."""
    every = [
        (path(method), one) for method in METHODS for one in CROSSINGS[method.containing_service.full_name][method.name]
    ]
    every += [(name, one) for name, attempts in HTTP.items() for one in attempts]
    return sorted(every, key=lambda pair: pair[1].rank)


@pytest.mark.parametrize("forged", [False, True], ids=["plain", "forged-headers"])
async def test_no_tenant_reaches_another(keys: Keys, tmp_path: Path, records_url: str, forged: bool) -> None:
    async with world(keys, tmp_path, METHODS, records_url) as both:
        mine = await both.view()
        both.extra = both.forged() if forged else ()
        served = [pair for pair in attempts() if pair[0][0] != "/" or pair[0].split("/")[1] in both.served]
        found = [trouble for method, one in served if (trouble := await _trouble(both, method, one))]
        both.extra = ()
        assert found == []
        assert await both.view() == mine


async def test_what_stands_behind_refuses_whoever_has_no_token_of_the_gateways(keys: Keys, tmp_path: Path) -> None:
    every = [method for service in services(NOT_SERVED) for method in service.methods]
    behind = [method for method in every if _package(method) != "gateway"]
    assert {_package(method) for method in behind} == {"orchestrator", "retrieval"}
    others = Keys()  # of somebody who has a key pair too
    metadata = ((), (("x-headworks-identity", "x.y.z"),), (("authorization", "Bearer hw_x"),), others.metadata())
    async with world(keys, tmp_path, METHODS, sqlite_url(tmp_path)) as both:
        for method in behind:
            codes = [await _code(both.behind[_package(method)], method, given) for given in metadata]
            assert codes == [grpc.StatusCode.UNAUTHENTICATED] * len(metadata), method.full_name


async def test_what_is_the_gateways_own_business_is_not_served(keys: Keys, tmp_path: Path) -> None:
    own = [method for service in services(NOT_SERVED) if service.full_name in NOT_SERVED for method in service.methods]
    assert own
    async with world(keys, tmp_path, METHODS, sqlite_url(tmp_path)) as both:
        for method in own:
            given = (("authorization", f"Bearer {API_KEYS[OWNER]}"),)
            assert await _code(both.channel, method, given) is grpc.StatusCode.UNIMPLEMENTED, method.full_name


def _package(method: MethodDescriptor) -> str:
    return str(method.full_name).split(".")[1]


async def _code(channel: Any, method: MethodDescriptor, metadata: Any) -> grpc.StatusCode:
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    called = getattr(channel, kind)(path(method))
    found: grpc.StatusCode = await called(iter([b""]) if method.client_streaming else b"", metadata=metadata).code()
    return found


async def _trouble(both: World, method: str, one: Attempt) -> str:
    """What is wrong with how the attempt ended; nothing where it is as it has to be."""
    requests, method = one.requests(both), both.named(method)
    answer = await both.ask(THIEF, method, *requests)
    ended = answer.reason or answer.code.name
    if one.ends is not None and not fnmatchcase(answer.reason, one.ends):
        return f"{method} of {requests[0]!s:.100} ended with {ended}, not {one.ends or 'OK'}"
    owned = (SECRET.encode(), both.run_id.encode(), f"{OWNER}-key".encode())
    return (
        f"{method} of {requests[0]!s:.100} gave what is not its" if any(part in answer.data for part in owned) else ""
    )
