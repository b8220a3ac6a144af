"""Which targets are on this machine, which proxy leads to the others, and that control is asked directly."""

import json
from pathlib import Path

import pytest

from services.runtime import proxies

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("target", "local"),
    [
        ("unix:/run/a.sock", True),
        ("unix:/run/a.sock,/run/b.sock", True),
        ("unix-abstract:a", True),
        ("xds:///orchestrator", True),
        ("127.0.0.1:8080", True),
        ("127.8.8.8:8080", True),
        ("localhost:8080", True),
        ("LOCALHOST:8080", True),
        ("mesh.localhost:8080", True),
        ("[::1]:8080", True),
        ("dns:///127.0.0.1:8080", True),
        ("ipv4:127.0.0.1:8080", True),
        ("ipv6:[::1]:8080", True),
        ("example.com:443", False),
        ("dns:///example.com:443", False),
        ("10.0.0.1:8080", False),
        ("[2001:db8::1]:8080", False),
        ("ipv4:10.0.0.1:8080,10.0.0.2:8080", False),
    ],
)
def test_what_is_on_this_machine(target: str, local: bool) -> None:
    assert proxies.is_local(target) is local


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({}, ""),
        ({"http_proxy": PROXY}, "http_proxy"),
        ({"http_proxy": PROXY, "https_proxy": PROXY}, "https_proxy"),
        ({"http_proxy": PROXY, "grpc_proxy": PROXY}, "grpc_proxy"),
        ({"http_proxy": PROXY, "grpc_proxy": ""}, ""),
        ({"HTTP_PROXY": PROXY}, ""),
        ({"http_proxy": PROXY, "no_proxy": "localhost, example.com"}, ""),
        ({"http_proxy": PROXY, "no_proxy": "example.org"}, "http_proxy"),
        ({"http_proxy": PROXY, "no_proxy": "example.com", "no_grpc_proxy": "localhost"}, "http_proxy"),
    ],
)
def test_the_variable_that_names_the_proxy(environ: dict[str, str], variable: str) -> None:
    assert proxies.proxy_variable("edge.example.com:443", environ) == variable
    assert proxies.proxy_variable("127.0.0.1:8080", environ) == ""


@pytest.mark.parametrize(
    ("given", "spared"),
    [
        ({}, None),
        ({"no_proxy": "example.com"}, None),
        ({"http_proxy": PROXY}, "control.mesh"),
        ({"https_proxy": PROXY, "no_proxy": "example.com"}, "example.com,control.mesh"),
        ({"grpc_proxy": PROXY, "no_proxy": "a", "no_grpc_proxy": "b"}, "b,control.mesh"),
    ],
)
def test_control_is_asked_directly(tmp_path: Path, given: dict[str, str], spared: str | None) -> None:
    bootstrap = tmp_path / "xds.json"
    bootstrap.write_text(json.dumps({"xds_servers": [{"server_uri": "control.mesh:18000"}]}))
    environ = {**given, proxies.BOOTSTRAP: str(bootstrap)}
    proxies.spare_control(environ)
    assert environ.get("no_grpc_proxy") == (spared if spared is not None else given.get("no_grpc_proxy"))
