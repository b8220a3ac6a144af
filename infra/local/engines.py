"""The processes that are not ours: Triton and Envoy, as specs."""

from infra.envoy import EnvoyBootstrap, envoy_argv, envoy_bootstrap, write_json
from infra.local.edge_probe import EdgeReady
from infra.local.layout import Layout
from infra.local.options import Options
from infra.local.ports import HOST
from infra.local.probes import GrpcHealth
from infra.local.spec import Command, Ports, Spec
from services.models import triton
from services.models.layout import SHARED_MEMORY, shared_memory_prefix
from services.models.settings import ModelsSettings

# Triton takes seconds to unload what it will load anew, when nobody is left who could ask it anything.
TRITON_DRAIN_SECONDS = 1.0


def triton_spec(options: Options, layout: Layout, rank: int) -> Spec:
    """Triton, its data directory laid out anew at each start. Its shared memory is named after the directory, so that
    what a killed Triton left can be removed."""
    data = layout.of("triton")

    def command(ports: Ports) -> Command:
        listen = triton.Ports(grpc=ports["grpc"], http=ports["http"], metrics=ports["metrics"])
        made = triton.prepare(data, listen, _models_settings(options), options.env)
        return Command(made.argv, made.env)

    return Spec(
        "triton-0",
        "triton",
        command,
        GrpcHealth(),
        ports=("grpc", "http", "metrics"),
        rank=rank,
        drain=TRITON_DRAIN_SECONDS,
        sweep=str(SHARED_MEMORY / shared_memory_prefix(data)),
    )


def _models_settings(options: Options) -> ModelsSettings:
    """From the environment and the configuration file alike."""
    given = {name: options.given("models", name) for name in ModelsSettings.model_fields}
    return ModelsSettings.model_validate({name: value for name, value in given.items() if value is not None})


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
        metrics=("admin", "/stats/prometheus"),
        rank=rank,
    )
