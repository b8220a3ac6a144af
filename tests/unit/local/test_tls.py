"""What a local mesh with TLS tells its processes."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cli.mesh.screen import welcome
from infra.certificates import Folder, ensure
from infra.local import tls
from infra.local.layout import Layout
from infra.local.mesh import mesh_specs, python_specs
from infra.local.options import BadOptions, Options, make_options
from infra.local.spec import Spec
from infra.local.state import MeshState
from tests.fakes.certificates import certificates

PORTS = {"grpc": 5, "metrics": 6, "edge": 8}


def secured(tmp_path: Path) -> tuple[Options, Layout]:
    layout = Layout(tmp_path)
    layout.make()
    options = make_options(tmp_path, None, {}, None, {}, layout.tls)
    tls.check(options, layout)
    return options, layout


def test_every_python_service_has_its_own_certificate(tmp_path: Path) -> None:
    options, layout = secured(tmp_path)
    for spec in python_specs(options, layout):
        env = spec.command(PORTS).env
        prefix, own = f"HEADWORKS_{spec.service.upper()}_TLS_", Folder(layout.tls).files(spec.service)
        told = [env[prefix + name] for name in ("CERTIFICATE", "PRIVATE_KEY", "CA")]
        assert told == [str(own.certificate), str(own.private_key), str(own.ca)]
        bootstrap = json.loads(Path(env["GRPC_XDS_BOOTSTRAP"]).read_text())
        assert bootstrap["certificate_providers"]["mesh"]["config"]["certificate_file"] == str(own.certificate)
        assert bootstrap["xds_servers"][0]["channel_creds"] == [{"type": "insecure"}], "control is at a Unix socket"
        assert (env.get("HEADWORKS_CONTROL_EDGE_SECRETS") == str(layout.secrets)) == (spec.service == "control")


def test_envoy_has_its_own_and_triton_needs_none(tmp_path: Path) -> None:
    options, layout = secured(tmp_path)
    made: dict[str, Spec] = {spec.service: spec for spec in mesh_specs(options, layout, "hw_key")}
    argv = made["triton"].command(PORTS).argv
    assert f"--grpc-address=unix:{layout.sockets / 'triton'}" in argv
    assert "--allow-http=false" in argv
    made["envoy"].command(PORTS)
    assert {path.name for path in layout.secrets.iterdir()} == {"edge.json", "mesh.json", "ca.json"}
    assert str(layout.tls / "edge.key") in (layout.secrets / "edge.json").read_text()


def test_a_mesh_without_tls_says_nothing_of_it(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.make()
    options = make_options(tmp_path, None, {}, None, {})
    tls.check(options, layout)
    assert not layout.tls.exists()
    for spec in mesh_specs(options, layout, "hw_key"):
        command = spec.command(PORTS)
        assert not [name for name in command.env if "_TLS_" in name or name.endswith("EDGE_SECRETS")]
        assert not [flag for flag in command.argv if "ssl" in flag]


def test_the_meshs_own_certificates_are_renewed_and_given_ones_left_alone(tmp_path: Path) -> None:
    options, layout = secured(tmp_path / "data")
    Folder(layout.tls).certificate("gateway").unlink()
    tls.check(options, layout)
    Folder(layout.tls).check()
    given = certificates(tmp_path / "given")
    tls.check(replace(options, tls=given.root), layout)
    given.certificate("gateway").unlink()
    with pytest.raises(BadOptions, match=r"gateway\.crt is missing"):
        tls.check(replace(options, tls=given.root), layout)
    ensure(given)
    given.private_key("gateway").write_bytes(given.private_key("triton").read_bytes())
    with pytest.raises(BadOptions, match=r"is not the key of"):
        tls.check(replace(options, tls=given.root), layout)


def test_the_welcome_trusts_the_ca(tmp_path: Path) -> None:
    key = tmp_path / "dev.key"
    key.write_text("hw_key\n")
    text = "\n".join(welcome(key, MeshState(1, "running", "https://127.0.0.1:1", 0, True, ca="/tls/ca.crt")))
    assert "curl -s --cacert /tls/ca.crt https://127.0.0.1:1/" in text
    assert f"SSL_CERT_FILE=/tls/ca.crt {sys.executable} -c" in text
    assert "ca" not in "\n".join(welcome(key, MeshState(1, "running", "http://127.0.0.1:1", 0, True))).split()


def test_the_key_is_not_shown_only_where_it_is(tmp_path: Path) -> None:
    key = tmp_path / "dev.key"
    key.write_text("hw_0123456789\n")
    text = "\n".join(welcome(key, MeshState(1, "running", "http://127.0.0.1:1", 0, True)))
    assert "hw_" not in text
    assert str(key) in text
