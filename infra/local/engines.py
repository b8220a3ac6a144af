"""The processes that are not ours: Triton and Envoy, as specs."""

import re
from collections.abc import Sequence
from functools import partial

from infra.envoy import METRICS, EnvoyBootstrap, envoy_argv, envoy_bootstrap, write_json
from infra.local import tls
from infra.local.layout import Layout
from infra.local.models import llm_replicas, llm_share, models_settings, start_seconds
from infra.local.options import Options
from infra.local.ports import HOST
from infra.local.probes import EdgeReady, GrpcHealth, drain_edge
from infra.local.spec import Children, Command, Ports, Spec
from services.models import triton
from services.models.layout import SHARED_MEMORY, shared_memory_prefix
from services.runtime import sockets

# Triton takes seconds to unload what it will load anew, when nobody is left who could ask it anything.
TRITON_DRAIN_SECONDS = 1.0
STUB_GIVEN_UP = "is not healthy"
STUB = "triton_python_b"
MODEL = re.compile(r"/([^/ ]+)/\d+/model\.py\b")
"""Of the command line of a model's process: Triton's layout is REPOSITORY/MODEL/VERSION/model.py."""


def triton_specs(options: Options, layout: Layout, rank: int) -> list[Spec]:
    """The replicas of Triton. The first one alone serves the language model unless more are asked for: it takes all
    cores that it gets and the memory of its weights and its cache. Beyond those of the other models, Tritons serve it
    alone."""
    count = max(options.count("triton"), llm_replicas(options))
    return [_triton_spec(options, layout, rank, index) for index in range(count)]


def triton_target(options: Options, layout: Layout) -> str:
    """All replicas, for clients that take one after the other."""
    return sockets.targets([triton.socket_in(layout.sockets, index) for index in range(options.count("triton"))])


def llm_target(options: Options, layout: Layout) -> str:
    """The replicas that serve the language model, each asked by itself."""
    return sockets.targets([triton.socket_in(layout.sockets, index) for index in range(max(1, llm_replicas(options)))])


def _triton_spec(options: Options, layout: Layout, rank: int, index: int) -> Spec:
    """Triton, its data directory laid out anew at each start. Its shared memory is named after the directory, so that
    what a killed Triton left can be removed. It asks no caller who he is: hence a Unix socket."""
    data = layout.of(f"triton-{index}" if index else "triton")
    socket = triton.socket_in(layout.sockets, index)
    settings = models_settings(options)
    llm = settings.llm if index < llm_replicas(options) else ""
    alone = index >= options.count("triton")

    def command(ports: Ports) -> Command:
        listen = triton.Listen(grpc=0, metrics=ports["metrics"], folder=layout.sockets, replica=index)
        own = {"llm": llm, "llm_metrics_port": ports.get("llm", 0), **llm_share(settings, llm_replicas(options))}
        made = triton.prepare(data, listen, settings.model_copy(update=own), options.env, llm_alone=alone)
        return Command(made.argv, made.env)

    return Spec(
        f"triton-{index}",
        "triton",
        command,
        GrpcHealth((), "triton", socket=socket),
        ports=("metrics", *(("llm",) if llm else ())),
        given=given_llm_port(options, index) if llm else {},
        more_metrics=(("llm", "/metrics"),) if llm else (),
        published=False,
        rank=rank,
        socket=socket,
        drain=TRITON_DRAIN_SECONDS,
        why=lambda lines: _slow_models(options, lines),
        children=Children(STUB, _model),  # it answers for itself while they are stopped or dead
        start=start_seconds(options),
        sweep=str(SHARED_MEMORY / shared_memory_prefix(data)),
    )


def _model(command_line: str) -> str:
    """The model that a process of Triton's runs."""
    found = MODEL.search(command_line)
    return f"of the model {found[1]}" if found else ""


def _slow_models(options: Options, lines: Sequence[str]) -> str:
    """Triton's words for a model's process that was not ready in time do not say so."""
    if not any(STUB_GIVEN_UP in line for line in lines):
        return ""
    settings = models_settings(options)
    return (
        f"; Triton gave up a model that was not loaded within {triton.start_seconds(settings):g} s, the limit that is "
        f"set by {triton.start_setting(settings)}"
    )


def given_llm_port(options: Options, index: int = 0) -> dict[str, int]:
    """The port of the language model's metrics where the user's settings name it; a further replica takes the next
    one."""
    settings = models_settings(options)
    return {"llm": settings.llm_metrics_port + index} if settings.llm and settings.llm_metrics_port else {}


def envoy_spec(options: Options, layout: Layout, key: str, rank: int) -> Spec:
    """Envoy, which gets all but its bootstrap from control."""

    def command(ports: Ports) -> Command:
        settings = EnvoyBootstrap(
            layout.control_socket, layout.admin_socket, (HOST, ports["metrics"]), secrets=tls.secrets(options, layout)
        )
        bootstrap = write_json(layout.xds / "envoy.json", envoy_bootstrap(settings))
        return Command(envoy_argv(bootstrap), options.env)

    return Spec(
        name="envoy-0",
        service="envoy",
        command=command,
        probe=EdgeReady(key, layout.admin_socket, tls.ca(options)),
        ports=("edge", "metrics"),
        given={"edge": options.edge_port},
        after=("control",),
        published=False,
        metrics=("metrics", METRICS),
        rank=rank,
        start=start_seconds(options),
        quiesce=partial(drain_edge, layout.admin_socket),
    )
