"""Snapshots are consistent or they are not."""

import asyncio
from dataclasses import replace

import pytest

from services.control.edge import Edge
from services.control.plane import builder
from services.control.resources import CDS, EDS, LDS, RDS, TYPES, edge_resources, mesh_resources
from services.control.resources.endpoints import assignment
from services.control.resources.wire import resource
from services.control.snapshot import Cache, Inconsistent, Snapshot
from services.control.topology import GATEWAY_HTTP, SERVICES, Endpoint, Topology

NONE = Topology(services=dict.fromkeys(SERVICES, ()))
TOPOLOGY = NONE.with_endpoints("gateway", [Endpoint("gateway-0", "127.0.0.1", 9000)])


@pytest.mark.parametrize("kind", ["envoy", "grpc"])
@pytest.mark.parametrize("missing", [EDS, RDS, CDS])
def test_a_reference_to_nothing_is_refused(kind: str, missing: str) -> None:
    resources = [one for one in builder(Edge())(TOPOLOGY)[kind] if one.type != missing]
    with pytest.raises(Inconsistent, match="lead to nothing"):
        Snapshot(resources)


@pytest.mark.parametrize("unused", [LDS, CDS])
def test_what_nothing_refers_to_is_refused(unused: str) -> None:
    if unused == LDS:
        resources = [one for one in mesh_resources(TOPOLOGY) if one.type != LDS]
    else:
        resources = [assignment("nobody", [])]
    with pytest.raises(Inconsistent, match="nothing refers"):
        Snapshot(resources)


def test_a_name_twice_is_refused() -> None:
    resources = edge_resources(TOPOLOGY, Edge())
    with pytest.raises(Inconsistent, match="twice"):
        Snapshot([*resources, resources[0]])


def test_versions_follow_from_the_content() -> None:
    one, same = Snapshot(mesh_resources(TOPOLOGY)), Snapshot(reversed(mesh_resources(replace(TOPOLOGY, version=7))))
    assert one.versions == same.versions
    other = Snapshot(mesh_resources(TOPOLOGY.with_endpoints("gateway", [Endpoint("gateway-0", "127.0.0.1", 9001)])))
    assert [kind for kind in TYPES if one.versions[kind] != other.versions[kind]] == [EDS]


def test_a_snapshot_does_not_change() -> None:
    snapshot = Snapshot(mesh_resources(TOPOLOGY))
    with pytest.raises(TypeError):
        snapshot.of(CDS)["x"] = resource(CDS, {"name": "x"})  # type: ignore[index]
    with pytest.raises(TypeError):
        snapshot.versions[CDS] = "x"  # type: ignore[index]
    assert snapshot.of("type.googleapis.com/x.Secret") == {}


def test_the_cache_tells_who_listens() -> None:
    cache, event = Cache(), asyncio.Event()
    assert cache.snapshot("grpc").of(LDS) == {}
    cache.listen(event)
    snapshot = Snapshot(mesh_resources(TOPOLOGY))
    cache.set({"grpc": snapshot})
    assert event.is_set()
    assert cache.snapshot("grpc") is snapshot
    event.clear()
    cache.forget(event)
    cache.set({})
    assert not event.is_set()


def test_a_resource_with_an_unknown_field_is_no_resource() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        resource(CDS, {"name": "x", "nonsense": 1})


@pytest.mark.parametrize("kind", ["envoy", "grpc"])
def test_endpoints_may_be_awaited_where_that_is_said(kind: str) -> None:
    resources = list(builder(Edge())(Topology())[kind])
    assert Snapshot(resources, SERVICES | {GATEWAY_HTTP}).of(EDS) == {}
    with pytest.raises(Inconsistent):
        Snapshot(resources, SERVICES - {"gateway"})
