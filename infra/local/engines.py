"""The processes that are not ours: Triton and Envoy, as specs."""

from infra.envoy import EnvoyBootstrap, envoy_argv, envoy_bootstrap, write_json
from infra.local.edge_probe import EdgeReady
from infra.local.layout import Layout
from infra.local.options import Options
from infra.local.ports import HOST
from infra.local.probes import GrpcHealth
from infra.local.spec import Command, Ports, Spec
from services.models import triton
from services.models.settings import ModelsSettings


def triton_spec(options: Options, layout: Layout, rank: int) -> Spec:
    """Triton, its data directory laid out anew at each start."""

    def command(ports: Ports) -> Command:
        listen = triton.Ports(grpc=ports["grpc"], http=ports["http"], metrics=ports["metrics"])
        made = triton.prepare(layout.of("triton"), listen, ModelsSettings(), options.env)
        return Command(made.argv, made.env)

    return Spec("triton-0", "triton", command, GrpcHealth(), ports=("grpc", "http", "metrics"), rank=rank)


def envoy_spec(options: Options, layout: Layout, key: str, control_port: int, rank: int) -> Spec:
    """Envoy, which gets all but its bootstrap from control."""

    def command(ports: Ports) -> Command:
        settings = EnvoyBootstrap(HOST, control_port, ports["admin"])
        bootstrap = write_json(layout.xds / "envoy.json", envoy_bootstrap(settings))
        return Command(envoy_argv(bootstrap), options.env)

    return Spec(
        name="envoy-0",
        service="envoy",
        command=command,
        probe=EdgeReady(key),
        ports=("edge", "admin"),
        given={"edge": options.edge_port},
        after=("control",),
        published=False,
        rank=rank,
    )
