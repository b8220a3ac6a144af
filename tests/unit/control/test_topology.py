"""The topology, and its file."""

from pathlib import Path

import pytest

from services.control import state
from services.control.topology import SERVICES, Endpoint, Topology
from services.runtime.errors import InvalidArgument

ONE = Endpoint("gateway-0", "127.0.0.1", 9000)
TWO = Endpoint("gateway-1", "127.0.0.1", 9001)


def test_begins_empty_and_knows_its_services() -> None:
    for service in SERVICES:
        assert Topology().endpoints(service) == ()
        assert not Topology().known(service)


def test_a_service_without_replicas_is_known() -> None:
    topology = Topology().with_endpoints("gateway", [])
    assert (topology.version, topology.known("gateway"), topology.known("triton")) == (1, True, False)
    assert state.decode(state.encode(topology)) == topology


def test_each_change_makes_the_version_grow_and_the_order_is_by_name() -> None:
    first = Topology().with_endpoints("gateway", [TWO, ONE])
    assert (first.version, first.endpoints("gateway")) == (1, (ONE, TWO))
    second = first.with_endpoints("gateway", [])
    assert (second.version, second.endpoints("gateway")) == (2, ())
    assert first.endpoints("gateway") == (ONE, TWO)


def test_setting_the_same_again_is_the_same_topology() -> None:
    topology = Topology().with_endpoints("gateway", [ONE, TWO])
    assert topology.with_endpoints("gateway", [TWO, ONE]) is topology


@pytest.mark.parametrize(
    ("service", "endpoints"),
    [
        ("billing", [ONE]),
        ("gateway", [ONE, Endpoint("gateway-0", "127.0.0.1", 9001)]),
        ("gateway", [Endpoint("gateway-0", "127.0.0.1", 0)]),
        ("gateway", [Endpoint("gateway-0", "127.0.0.1", 65536)]),
        ("gateway", [Endpoint("gateway-0", "127.0.0.1", -1)]),
        ("gateway", [Endpoint("gateway-0", "localhost", 9000)]),
        ("gateway", [Endpoint("gateway-0", "", 9000)]),
        ("gateway", [Endpoint("", "127.0.0.1", 9000)]),
        ("gateway", [Endpoint("gateway 0", "127.0.0.1", 9000)]),
        ("gateway", [Endpoint("gateway/0", "127.0.0.1", 9000)]),
        ("gateway", [Endpoint("gateway-0", "127.0.0.1", 9000, http_port=65536)]),
        ("gateway", [Endpoint("gateway-0", "127.0.0.1", 9000, http_port=-1)]),
        ("gateway", [Endpoint("gateway-0", "127.0.0.1", 9000, http_socket="run/gateway-0.sock")]),
        ("gateway", [Endpoint("gateway-0", "127.0.0.1", 9000, http_socket="/" + "x" * 107)]),
        ("gateway", [Endpoint(f"gateway-{n}", "127.0.0.1", 9000) for n in range(1001)]),
    ],
)
def test_what_cannot_be_is_refused(service: str, endpoints: list[Endpoint]) -> None:
    with pytest.raises(InvalidArgument):
        Topology().with_endpoints(service, endpoints)


def test_addresses_of_both_families() -> None:
    assert ONE.address == "127.0.0.1:9000"
    assert Endpoint("gateway-0", "::1", 9000).address == "[::1]:9000"


def test_the_file_brings_the_topology_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "topology.json"
    served = [ONE, Endpoint("gateway-7", "127.0.0.1", 9007, 9008, "/run/gateway-7.sock")]
    topology = Topology().with_endpoints("gateway", served).with_endpoints("triton", [TWO]).with_endpoints("triton", [])
    state.save(path, topology)
    assert state.load(path) == topology
    assert [one.name for one in path.parent.iterdir()] == ["topology.json"]


NO_PORT = '{"version": 1, "services": {"gateway": [{"replica": "a"}]}}'
NO_ADDRESS = '{"version": 1, "services": {"gateway": [{"replica": "a", "host": "h", "port": 1}]}}'
NO_VERSION = '{"version": "x", "services": {}}'


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', NO_VERSION, NO_ADDRESS, NO_PORT])
def test_a_broken_file_is_an_empty_topology(tmp_path: Path, text: str) -> None:
    path = tmp_path / "topology.json"
    path.write_text(text)
    assert state.load(path) == Topology()


def test_no_file_is_an_empty_topology(tmp_path: Path) -> None:
    assert state.load(tmp_path / "none.json") == Topology()
    assert state.load(None) == Topology()
    state.save(None, Topology())


def test_a_service_no_longer_known_is_left_out() -> None:
    stored = '{"version": 3, "services": {"billing": [], "gateway": [{"replica": "g", "host": "::1", "port": 1}]}}'
    assert state.decode(stored) == Topology(3, Topology().with_endpoints("gateway", [Endpoint("g", "::1", 1)]).services)
