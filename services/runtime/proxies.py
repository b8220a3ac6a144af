"""HTTP proxies that the environment names, and what is not asked by way of one: the mesh's own processes.

gRPC reads the variables itself, in lower case, for each channel that is not told otherwise. The channel to control for
xDS cannot be told: gRPC opens it, by its bootstrap.
"""

import ipaddress
import json
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from urllib.parse import urlsplit

VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
"""gRPC takes the first that is set; an empty one is none."""
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
"""Hosts that are asked directly; gRPC takes the first that is set."""
BOOTSTRAP = "GRPC_XDS_BOOTSTRAP"
NO_PROXY = ("grpc.enable_http_proxy", 0)
"""The option of a channel that uses no proxy."""


def host_of(target: str) -> str:
    """The host of a gRPC target or of host:port; empty where it has none, as a Unix socket has."""
    scheme, colon, rest = target.partition(":")
    if colon and scheme.startswith(("unix", "xds")):
        return ""
    if colon and scheme in ("dns", "ipv4", "ipv6", "http", "https"):
        target = rest.rpartition("/")[2].partition(",")[0]
    try:
        return urlsplit(f"//{target}").hostname or ""
    except ValueError:
        return ""


def is_local(target: str) -> bool:
    """Whether a gRPC target is on this machine, so that no proxy can lead there."""
    host = host_of(target)
    if not host or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxy_variable(target: str, environ: Mapping[str, str] = os.environ) -> str:
    """The variable that names the proxy by which gRPC asks a target; empty where it asks the target itself."""
    name = next((name for name in VARIABLES if name in environ), "")
    if not name or not environ[name] or is_local(target):
        return ""
    host = host_of(target)
    spared = next((environ[name] for name in EXCEPTIONS if name in environ), "")
    return "" if any(host.endswith(one) for one in map(str.strip, spared.lower().split(",")) if one) else name


def spare_control(environ: MutableMapping[str, str] = os.environ) -> None:
    """Have this process ask control itself, where the environment names a proxy. Before the first channel is opened."""
    if BOOTSTRAP not in environ or not any(environ.get(name) for name in VARIABLES):
        return
    try:
        servers = json.loads(Path(environ[BOOTSTRAP]).read_text("utf-8"))["xds_servers"]
        hosts = {host for server in servers if (host := host_of(server["server_uri"]))}
    except (OSError, ValueError, LookupError, TypeError):
        return  # gRPC itself says what is wrong with its bootstrap
    spared = next((environ[name] for name in EXCEPTIONS if environ.get(name)), "")
    environ[EXCEPTIONS[0]] = ",".join([*filter(None, [spared]), *sorted(hosts)])
