"""The control plane's one state."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from services.control import state
from services.control.edge import Edge
from services.control.plane import ENVOY, GRPC, ControlPlane, builder
from services.control.resources import EDS, RDS, Resource
from services.control.snapshot import Cache
from services.control.topology import Endpoint, Topology
from services.runtime.errors import DomainError, InvalidArgument

ONE = Endpoint("gateway-0", "127.0.0.1", 9000)
TWO = Endpoint("gateway-1", "127.0.0.1", 9001)


def plane(cache: Cache | None = None, path: Path | None = None) -> ControlPlane:
    return ControlPlane(builder(Edge()), cache or Cache(), path)


def test_endpoints_reach_the_cache_and_the_file(tmp_path: Path) -> None:
    cache, path = Cache(), tmp_path / "topology.json"
    control = plane(cache, path)
    assert not cache.snapshot(ENVOY).of(EDS)
    assert control.set_endpoints("gateway", [ONE]).version == 1
    assert list(cache.snapshot(ENVOY).of(EDS)) == ["gateway", "gateway-http"]
    assert set(cache.snapshot(GRPC).of(EDS)) == {"gateway", "gateway/gateway-0"}
    assert state.load(path) == control.topology


def test_a_restart_serves_the_same_versions(tmp_path: Path) -> None:
    first, second, path = Cache(), Cache(), tmp_path / "topology.json"
    plane(first, path).set_endpoints("gateway", [ONE, TWO])
    again = plane(second, path)
    assert again.topology.version == 1
    for kind in (ENVOY, GRPC):
        assert first.snapshot(kind).versions == second.snapshot(kind).versions


def test_setting_the_same_serves_nothing_new() -> None:
    cache = Cache()
    control = plane(cache)
    control.set_endpoints("gateway", [ONE])
    before = cache.snapshot(ENVOY)
    assert control.set_endpoints("gateway", [ONE]).version == 1
    assert cache.snapshot(ENVOY) is before


def test_what_cannot_be_changes_nothing(tmp_path: Path) -> None:
    control = plane(path=tmp_path / "topology.json")
    with pytest.raises(InvalidArgument):
        control.set_endpoints("billing", [ONE])
    assert control.topology == Topology()
    assert not (tmp_path / "topology.json").exists()


def test_an_inconsistent_snapshot_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    def build(topology: Topology) -> Mapping[str, Iterable[Resource]]:
        good = builder(Edge())(topology)
        return good if topology.version < 2 else {kind: [r for r in good[kind] if r.type != RDS] for kind in good}

    cache, path = Cache(), tmp_path / "topology.json"
    control = ControlPlane(build, cache, path)
    control.set_endpoints("gateway", [ONE])
    before = cache.snapshot(ENVOY)
    with pytest.raises(DomainError):
        control.set_endpoints("gateway", [ONE, TWO])
    assert cache.snapshot(ENVOY) is before
    assert control.topology.endpoints("gateway") == (ONE,) == state.load(path).endpoints("gateway")


async def test_a_watcher_gets_the_present_then_the_newest() -> None:
    control = plane()
    watch = control.watch()
    assert (await anext(watch)).version == 0
    for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
        control.set_endpoints("gateway", [Endpoint("gateway-0", host, 9000)])
    async with asyncio.timeout(60):
        assert (await anext(watch)).version == 3
        waiting = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        assert not waiting.done()
        control.set_endpoints("gateway", [])
        assert (await waiting).version == 4
    await watch.aclose()
    control.set_endpoints("gateway", [ONE])
