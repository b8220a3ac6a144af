"""What control says of TLS to Envoy and to gRPC's clients, and the bootstraps that it relies on."""

import json
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf import json_format
from pydantic import ValidationError

from infra.envoy import EnvoyBootstrap, envoy_bootstrap, grpc_bootstrap, write_secrets
from services.control.edge import Edge
from services.control.resources import CDS, LDS, Resource, edge_resources, mesh_resources
from services.control.settings import ControlSettings
from services.control.tls import PROVIDER
from services.control.topology import SERVICES, Endpoint, Topology
from services.runtime.tls import TlsFiles

SECRETS = Path("/secrets")
FILES = TlsFiles(Path("/tls/envoy.crt"), Path("/tls/envoy.key"), Path("/tls/ca.crt"))
TOPOLOGY = Topology().with_endpoints("orchestrator", [Endpoint("orchestrator-0", "127.0.0.1", 9000)])


def clusters(resources: list[Resource]) -> dict[str, Any]:
    found = {}
    for one in resources:
        if one.type == CDS:
            found[one.name] = message = cluster_pb2.Cluster()
            assert one.body.Unpack(message)
    return found


def listener(edge: Edge) -> Any:
    [one] = [one for one in edge_resources(TOPOLOGY, edge) if one.type == LDS]
    message = listener_pb2.Listener()
    assert one.body.Unpack(message)
    return message


def context(socket: Any, message: Any) -> Any:
    assert socket.typed_config.Unpack(message)
    return message


def path_of(secret: Any) -> tuple[str, str]:
    return secret.name, secret.sds_config.path_config_source.path


def test_without_certificates_nothing_is_said() -> None:
    assert not listener(Edge()).filter_chains[0].HasField("transport_socket")
    found = clusters(edge_resources(TOPOLOGY, Edge())) | clusters(mesh_resources(TOPOLOGY))
    assert not [name for name, cluster in found.items() if cluster.HasField("transport_socket")]


def test_the_edge_shows_its_certificate_and_asks_for_none() -> None:
    [chain] = listener(Edge(secrets=SECRETS)).filter_chains
    assert chain.transport_socket_connect_timeout.seconds == 10
    found = context(chain.transport_socket, tls_pb2.DownstreamTlsContext())
    assert not found.require_client_certificate.value
    common = found.common_tls_context
    assert [path_of(one) for one in common.tls_certificate_sds_secret_configs] == [("edge", "/secrets/edge.json")]
    assert list(common.alpn_protocols) == ["h2", "http/1.1"]
    assert common.tls_params.tls_minimum_protocol_version == common_pb2.TlsParameters.TLSv1_2


@pytest.mark.parametrize("mutual", [True, False])
def test_envoy_calls_the_gateway_by_mutual_tls(mutual: bool) -> None:
    gateway = clusters(edge_resources(TOPOLOGY, Edge(secrets=SECRETS, mutual=mutual)))["gateway"]
    assert gateway.HasField("transport_socket") == mutual
    if mutual:
        common = context(gateway.transport_socket, tls_pb2.UpstreamTlsContext()).common_tls_context
        trusted = common.combined_validation_context
        [san] = trusted.default_validation_context.match_typed_subject_alt_names
        assert (san.san_type, san.matcher.exact) == (common_pb2.SubjectAltNameMatcher.DNS, "gateway")
        assert path_of(trusted.validation_context_sds_secret_config) == ("ca", "/secrets/ca.json")
        assert [path_of(one) for one in common.tls_certificate_sds_secret_configs] == [("mesh", "/secrets/mesh.json")]
        assert list(common.alpn_protocols) == ["h2"]


def test_envoy_calls_the_gateways_http_by_mutual_tls_but_at_sockets() -> None:
    http = clusters(edge_resources(TOPOLOGY, Edge(secrets=SECRETS, mutual=True)))["gateway-http"]
    assert not http.HasField("transport_socket")
    [match] = http.transport_socket_matches
    assert match.match["tls"] is True
    common = context(match.transport_socket, tls_pb2.UpstreamTlsContext()).common_tls_context
    [san] = common.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    assert san.matcher.exact == "gateway"
    assert list(common.alpn_protocols) == ["http/1.1"]


def test_every_client_expects_the_certificate_of_the_service_it_calls() -> None:
    found = clusters(mesh_resources(TOPOLOGY, mutual=True))
    assert set(found) == {*SERVICES, "orchestrator/orchestrator-0"}
    for name, cluster in found.items():
        common = context(cluster.transport_socket, tls_pb2.UpstreamTlsContext()).common_tls_context
        trusted = common.validation_context
        assert [san.exact for san in trusted.match_subject_alt_names] == [name.partition("/")[0]]
        assert common.tls_certificate_provider_instance.instance_name == PROVIDER
        assert trusted.ca_certificate_provider_instance.instance_name == PROVIDER


def test_the_bootstrap_of_grpc_names_the_files() -> None:
    bootstrap = grpc_bootstrap(("127.0.0.1", 18000), "gateway-0", FILES)
    [server] = bootstrap["xds_servers"]
    [credentials] = server["channel_creds"]
    provider = bootstrap["certificate_providers"][PROVIDER]
    assert (credentials["type"], provider["plugin_name"]) == ("tls", "file_watcher")
    assert credentials["config"] == provider["config"]
    assert provider["config"]["private_key_file"] == "/tls/envoy.key"
    assert "certificate_providers" not in grpc_bootstrap(("127.0.0.1", 18000), "gateway-0")


def test_the_bootstrap_of_envoy_expects_control() -> None:
    data = envoy_bootstrap(EnvoyBootstrap(("127.0.0.1", 1), ("127.0.0.1", 2), secrets=SECRETS))
    [described] = data["static_resources"]["clusters"]
    cluster = json_format.ParseDict({"transport_socket": described["transport_socket"]}, cluster_pb2.Cluster())
    found = context(cluster.transport_socket, tls_pb2.UpstreamTlsContext())
    [san] = (
        found.common_tls_context.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    )
    assert san.matcher.exact == "control"


@pytest.mark.parametrize(("mesh", "names"), [(FILES, {"edge", "mesh", "ca"}), (None, {"edge"})])
def test_the_secrets_are_what_envoy_takes(tmp_path: Path, mesh: TlsFiles | None, names: set[str]) -> None:
    folder = write_secrets(tmp_path / "secrets", (Path("/tls/edge.crt"), Path("/tls/edge.key")), mesh)
    assert {path.name for path in folder.iterdir()} == {f"{name}.json" for name in names}
    for name in names:
        [data] = json.loads((folder / f"{name}.json").read_text())["resources"]
        secret = json_format.ParseDict({key: data[key] for key in data if key != "@type"}, secret_pb2.Secret())
        assert secret.name == name
        held = secret.validation_context.trusted_ca if name == "ca" else secret.tls_certificate.private_key
        assert held.filename == {"edge": "/tls/edge.key", "mesh": "/tls/envoy.key", "ca": "/tls/ca.crt"}[name]


def test_control_with_certificates_has_to_know_envoys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("certificate", "private_key", "ca"):
        monkeypatch.setenv(f"HEADWORKS_CONTROL_TLS_{name.upper()}", f"/tls/{name}")
    with pytest.raises(ValidationError, match="edge_secrets"):
        ControlSettings()
    edge = ControlSettings(edge_secrets=SECRETS).edge()
    assert (edge.secrets, edge.mutual) == (SECRETS, True)
    monkeypatch.delenv("HEADWORKS_CONTROL_TLS_CA")
    with pytest.raises(ValidationError, match="go together"):
        ControlSettings(edge_secrets=SECRETS)
