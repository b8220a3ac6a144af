"""The processes of a whole local mesh, as specs: which they are, in what order they start, how each is configured."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.envoy import grpc_bootstrap, write_json
from infra.local import tls
from infra.local.dial import Dial
from infra.local.engines import envoy_spec, given_llm_port, llm_target, triton_specs, triton_target
from infra.local.layout import Layout
from infra.local.models import llm_replicas, llm_settings, start_seconds
from infra.local.options import Options
from infra.local.ports import HOST
from infra.local.probes import GrpcHealth
from infra.local.spec import Command, Ports, Spec
from services.runtime import sockets
from services.runtime.settings import prefix

BOOTSTRAP_VARIABLE = "GRPC_XDS_BOOTSTRAP"
NEEDS: Mapping[str, tuple[str, ...]] = {
    "control": (),
    "retrieval": ("triton", "store"),
    "orchestrator": ("retrieval", "triton"),
    "gateway": ("orchestrator", "retrieval", "triton"),
}
SETTLE_SECONDS = 5.0
PORT_SETTINGS = {"metrics": "METRICS_PORT", "grpc": "PORT"}
MODULES = {"gateway": "gateway"}
RANKS = {"control": 0, "triton": 0, "retrieval": 0, "orchestrator": 1, "envoy": 2, "gateway": 3}
"""What stops first has the highest. Envoy takes no new calls by then, and brings the gateways' last words out."""
# Threads of the numeric libraries: the services leave computing to Triton.
LEAN = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def python_specs(options: Options, layout: Layout) -> list[Spec]:
    """The Python services, control first."""
    return [
        _python_spec(options, layout, service, index) for service in NEEDS for index in range(options.count(service))
    ]


def _python_spec(options: Options, layout: Layout, service: str, index: int) -> Spec:
    """One replica. Control, which asks no caller who he is, listens at a Unix socket; so do the gateways' HTTP servers,
    which only Envoy is to call."""
    name = f"{service}-{index}"
    socket = layout.control_socket if service == "control" else None
    http_socket = layout.http_socket(name) if service == "gateway" else None
    own_tls = tls.files(options, service)
    bootstrap = write_json(layout.xds / f"{name}.json", grpc_bootstrap(layout.control_socket, name, own_tls))
    given = options.given(service, "replica")
    replica = f"{given}-{index}" if given else name
    own = {"REPLICA": replica, **local_settings(options, layout, service)}
    if http_socket:
        own["HTTP_SOCKET"] = str(http_socket)
    if service == "gateway" and own_tls is None:
        own["IDENTITY_SOCKET"] = str(layout.identity_socket(index))
    return Spec(
        name=name,
        service=service,
        command=_command(options, service, own, bootstrap),
        probe=GrpcHealth(NEEDS[service], service, Dial(tls.supervisor_files(options)), socket),
        ports=("metrics",) if socket else ("grpc", "metrics"),
        given=_given_ports(options, service, index),
        after=() if service == "control" else ("control",),
        published=service != "control",
        rank=RANKS[service],
        start=start_seconds(options),
        drain=_drain_seconds(options, service),
        socket=socket,
        http_socket=http_socket,
        sweep=f"{layout.run}/" if socket and layout.run else "",
        replica=replica,
    )


def _drain_seconds(options: Options, service: str) -> float | None:
    """How long the service may take to end: as long as its calls may, where a setting says so, and then some to settle
    and to close."""
    given = options.given(service, "drain_seconds")
    return None if given is None else SETTLE_SECONDS + float(given)


def given_ports(options: Options) -> dict[int, str]:
    """Every port of the mesh that the user chose, beside the edge's, and the setting that names it."""
    pairs = [(service, index) for service in NEEDS for index in range(options.count(service))]
    chosen = {
        port: f"{prefix(service)}{PORT_SETTINGS[name]}"
        for service, index in pairs
        for name, port in _given_ports(options, service, index).items()
    }
    llm = [port for index in range(llm_replicas(options)) for port in given_llm_port(options, index).values()]
    return {**chosen, **dict.fromkeys(llm, f"{prefix('models')}LLM_METRICS_PORT")}


def _given_ports(options: Options, service: str, index: int) -> dict[str, int]:
    """Ports that the user's settings name; a further replica takes the next one."""
    ports = {"metrics": options.given(service, "metrics_port")}
    if service != "control":
        ports["grpc"] = options.given(service, "port")
    return {name: int(port) + index for name, port in ports.items() if port and port.isdigit() and int(port)}


def _command(options: Options, service: str, own: Mapping[str, str], bootstrap: Path) -> Callable[[Ports], Command]:
    argv = [sys.executable, "-P", "-m", MODULES.get(service, f"services.{service}")]

    def command(ports: Ports) -> Command:
        settings = {**own, "HOST": HOST, "METRICS_PORT": str(ports["metrics"])}
        if "grpc" in ports:
            settings["PORT"] = str(ports["grpc"])
        named = {prefix(service) + name: value for name, value in settings.items()}
        return Command(argv, {**LEAN, **options.env, **named, BOOTSTRAP_VARIABLE: str(bootstrap)})

    return command


def local_settings(options: Options, layout: Layout, service: str) -> dict[str, str]:
    """What the supervisor sets of a service beyond its address, except where the user's settings do."""
    folder = layout.of(service)
    to_triton = {"TRITON_TARGET": triton_target(options, layout)}
    ours: dict[str, dict[str, str]] = {
        "control": {"STATE_FILE": str(folder / "topology.json"), "EDGE_TOKEN_FILE": str(layout.edge_token)},
        "retrieval": {
            "IDENTITY_PUBLIC_KEY": str(layout.identity_public_key),
            "DATA_DIR": str(folder),
            "RECORDS_URL": f"sqlite:///{folder / 'records.db'}",
            **to_triton,
        },
        "orchestrator": {
            "IDENTITY_PUBLIC_KEY": str(layout.identity_public_key),
            "RECORDS_URL": f"sqlite:///{folder / 'runs.db'}",
            "PLACE": layout.place(),
            "GUARD_TARGET": "xds:///gateway",
            "IDENTITY_TARGET": _identity_target(options, layout),
            **to_triton,
            **_to_llm(options, layout),
            **llm_settings(options),
        },
        "gateway": {
            "IDENTITY_PRIVATE_KEY": str(layout.identity_private_key),
            "API_KEYS_FILE": str(layout.api_keys),
            "EDGE_TOKEN_FILE": str(layout.edge_token),
            "PUBLIC_URL": f"{'https' if options.tls else 'http'}://{HOST}:{options.edge_port}",
            **to_triton,
            "RECORDS_URL": f"sqlite:///{folder / 'records.db'}",
        },
    }
    ours[service] |= tls.settings(options, layout, service)
    unset = {name: value for name, value in ours[service].items() if options.given(service, name.lower()) is None}
    fixed = {"EDGE_PORT": str(options.edge_port), "SOCKET": str(layout.control_socket)}
    return {**unset, **fixed} if service == "control" else unset


def _to_llm(options: Options, layout: Layout) -> dict[str, str]:
    """Where the language model is, if not at every Triton that is asked."""
    several = max(options.count("triton"), llm_replicas(options)) > 1
    ours = several and options.given("orchestrator", "triton_target") is None
    return {"LLM_TARGET": llm_target(options, layout)} if ours else {}


def _identity_target(options: Options, layout: Layout) -> str:
    """The gateways, by mutual TLS or at their sockets."""
    if tls.files(options, "gateway") is not None:
        return "xds:///gateway"
    return sockets.targets([layout.identity_socket(index) for index in range(options.count("gateway"))])


def mesh_specs(options: Options, layout: Layout, key: str) -> list[Spec]:
    """Every process of the mesh, in the order in which they are shown."""
    specs = python_specs(options, layout)
    return [
        specs[0],
        *triton_specs(options, layout, RANKS["triton"]),
        *specs[1:],
        envoy_spec(options, layout, key, RANKS["envoy"]),
    ]
