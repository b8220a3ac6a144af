"""The bootstraps and the command line of Envoy."""

import json
import os
from pathlib import Path

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import json_format

from infra.envoy import EnvoyBootstrap, envoy_argv, envoy_binary, envoy_bootstrap, grpc_bootstrap, write_json

EXTENSIONS = (downstream_connections_pb2, fixed_heap_pb2, http_protocol_options_pb2)  # parsing needs them known


def test_the_bootstrap_knows_control_and_nothing_else() -> None:
    settings = EnvoyBootstrap(("control.mesh", 1234), ("127.0.0.1", 5678), node_id="envoy-7")
    bootstrap = json_format.ParseDict(envoy_bootstrap(settings), bootstrap_pb2.Bootstrap())
    [cluster] = bootstrap.static_resources.clusters
    address = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    assert (address.address, address.port_value) == ("control.mesh", 1234)
    assert not bootstrap.static_resources.listeners
    assert bootstrap.node.id == "envoy-7"
    assert bootstrap.admin.address.socket_address.address == "127.0.0.1"
    retry = bootstrap.dynamic_resources.ads_config.grpc_services[0].envoy_grpc.retry_policy.retry_back_off
    assert retry.max_interval.ToMilliseconds() == 1000


@pytest.mark.parametrize(("heap", "monitors"), [(0, 1), (1 << 30, 2)])
def test_the_process_has_limits(heap: int, monitors: int) -> None:
    settings = EnvoyBootstrap(("127.0.0.1", 1), ("127.0.0.1", 2), heap_bytes=heap)
    bootstrap = json_format.ParseDict(envoy_bootstrap(settings), bootstrap_pb2.Bootstrap())
    assert len(bootstrap.overload_manager.resource_monitors) == monitors
    assert bool(bootstrap.overload_manager.actions) == (monitors == 2)


@pytest.mark.parametrize(("host", "uri"), [("127.0.0.1", "127.0.0.1:18000"), ("::1", "[::1]:18000")])
def test_the_bootstrap_of_grpc(host: str, uri: str) -> None:
    bootstrap = grpc_bootstrap((host, 18000), "gateway-0")
    assert [server["server_uri"] for server in bootstrap["xds_servers"]] == [uri]
    assert bootstrap["node"]["id"] == "gateway-0"


def test_the_command_line(tmp_path: Path) -> None:
    path = write_json(tmp_path / "new" / "envoy.json", {"a": 1})
    assert json.loads(path.read_text()) == {"a": 1}
    argv = envoy_argv(path, concurrency=3, log_level="info")
    assert argv[0] == str(envoy_binary())
    assert os.access(argv[0], os.X_OK)
    assert "--disable-hot-restart" in argv
    for option, value in (("--config-path", str(path)), ("--concurrency", "3"), ("--log-level", "info")):
        assert argv[argv.index(option) + 1] == value
