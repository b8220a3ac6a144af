"""Options, specs, ports and back-off: nothing here starts a process."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch

from infra.local import models
from infra.local.discovery import changes
from infra.local.engines import triton_specs
from infra.local.guards import check_guards
from infra.local.layout import Layout
from infra.local.lock import DirectoryLock
from infra.local.mesh import given_ports, python_specs
from infra.local.options import BadOptions, Options, make_options, parse_replicas
from infra.local.ports import NoFreePort, PortBook, is_free, pick
from infra.local.process import Backoff
from infra.local.session import Refused, mesh
from infra.local.supervisor import Limits


def options(tmp_path: Path, **more: object) -> Options:
    given = {"data": tmp_path, "edge_port": None, "replicas": {}, "config": None, "environ": {}, **more}
    return make_options(**given)  # type: ignore[arg-type]  # a table of keyword arguments


@pytest.mark.parametrize(
    ("text", "replicas"),
    [
        ("", {}),
        ("gateway=2", {"gateway": 2}),
        ("triton=2", {"triton": 2}),
        (" orchestrator = 2, gateway=16,", {"orchestrator": 2, "gateway": 16}),
    ],
)
def test_replicas(text: str, replicas: dict[str, int]) -> None:
    assert parse_replicas(text) == replicas


@pytest.mark.parametrize(
    "text", ["gateway", "gateway=", "gateway=0", "gateway=-1", "gateway=17", "gateway=²", "gateway=1,gateway=2",
             "envoy=2", "control=2", "other=2"]
)  # fmt: skip
def test_bad_replicas(text: str) -> None:
    with pytest.raises(BadOptions):
        parse_replicas(text)


def test_the_embedded_store_has_one_owner(tmp_path: Path) -> None:
    with pytest.raises(BadOptions, match="HEADWORKS_RETRIEVAL_STORE=qdrant"):
        options(tmp_path, replicas={"retrieval": 2})
    for server in ("qdrant", "pgvector"):
        environ = {"HEADWORKS_RETRIEVAL_STORE": server}
        assert options(tmp_path, replicas={"retrieval": 2}, environ=environ).count("retrieval") == 2


def test_the_edge_port_comes_from_the_option_then_the_environment_then_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mesh.toml"
    file.write_text("[control]\nedge_port = 9001\n")
    assert options(tmp_path).edge_port == 8080
    assert options(tmp_path, config=file).edge_port == 9001
    environ = {"HEADWORKS_CONTROL_EDGE_PORT": "9002"}
    assert options(tmp_path, config=file, environ=environ).edge_port == 9002
    assert options(tmp_path, config=file, environ=environ, edge_port=9003).edge_port == 9003
    with pytest.raises(BadOptions):
        options(tmp_path, environ={"HEADWORKS_CONTROL_EDGE_PORT": "many"})


@pytest.mark.parametrize("text", [b"[", b"\xff", None])
def test_a_bad_configuration_file(tmp_path: Path, text: bytes | None) -> None:
    file = tmp_path / "mesh.toml"
    if text is not None:
        file.write_bytes(text)
    with pytest.raises(BadOptions, match=r"mesh\.toml"):
        options(tmp_path, config=file)


def test_what_the_python_services_are_told(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    made = python_specs(options(tmp_path, replicas={"orchestrator": 2}, environ={"KEPT": "1"}), layout)
    assert [spec.name for spec in made] == ["control-0", "retrieval-0", "orchestrator-0", "orchestrator-1", "gateway-0"]
    control, retrieval, _, second, gateway = made
    assert (control.ports, control.socket) == (("metrics",), layout.control_socket)
    assert control.command({"metrics": 6}).env["HEADWORKS_CONTROL_SOCKET"] == str(layout.control_socket)
    assert (control.published, control.after) == (False, ())
    assert (retrieval.published, retrieval.after) == (True, ("control",))
    assert control.rank == retrieval.rank < second.rank < gateway.rank
    command = second.command({"grpc": 5, "metrics": 6})
    assert command.argv[1:] == ["-P", "-m", "services.orchestrator"]
    assert command.env["KEPT"] == "1"
    assert command.env["HEADWORKS_ORCHESTRATOR_PORT"] == "5"
    assert command.env["HEADWORKS_ORCHESTRATOR_METRICS_PORT"] == "6"
    assert command.env["HEADWORKS_ORCHESTRATOR_REPLICA"] == "orchestrator-1"
    assert command.env["HEADWORKS_ORCHESTRATOR_IDENTITY_PUBLIC_KEY"] == str(layout.identity_public_key)
    bootstrap = json.loads(Path(command.env["GRPC_XDS_BOOTSTRAP"]).read_text())
    assert bootstrap["node"]["id"] == "orchestrator-1"
    assert bootstrap["xds_servers"][0]["server_uri"] == f"unix:{layout.control_socket}"
    assert "HEADWORKS_GATEWAY_IDENTITY_PUBLIC_KEY" not in gateway.command({"grpc": 5, "metrics": 6}).env


def test_replicas_have_the_name_that_is_given_and_a_number(tmp_path: Path) -> None:
    environ = {"HEADWORKS_ORCHESTRATOR_REPLICA": "east"}
    made = python_specs(options(tmp_path, replicas={"orchestrator": 2}, environ=environ), Layout(tmp_path))
    own = [spec for spec in made if spec.service == "orchestrator"]
    assert [spec.name for spec in own] == ["orchestrator-0", "orchestrator-1"]
    assert [spec.replica_name for spec in own] == ["east-0", "east-1"]
    told = [spec.command({"grpc": 5, "metrics": 6}).env["HEADWORKS_ORCHESTRATOR_REPLICA"] for spec in own]
    assert told == ["east-0", "east-1"]
    assert made[-1].replica_name == "gateway-0"


def test_a_place_is_one_directory_and_no_copy_of_it(tmp_path: Path) -> None:
    first = Layout(tmp_path / "first")
    assert first.place() == ""
    first.make()
    DirectoryLock(first.lock).take()
    place = first.place()
    assert place
    shutil.copytree(first.root, tmp_path / "copy")
    assert Layout(tmp_path / "copy").place() not in ("", place)
    assert first.place() == place
    orchestrator = next(spec for spec in python_specs(options(first.root), first) if spec.service == "orchestrator")
    assert orchestrator.command({"grpc": 5, "metrics": 6}).env["HEADWORKS_ORCHESTRATOR_PLACE"] == place


def test_replicas_of_triton_are_asked_in_turn_and_one_has_the_language_model(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    checkpoint = tmp_path / "tiny"
    environ = {"HEADWORKS_MODELS_LLM": str(checkpoint), "HEADWORKS_MODELS_LLM_METRICS_PORT": "7100"}
    given = options(tmp_path, replicas={"triton": 2}, environ=environ)
    first, second = triton_specs(given, layout, 0)
    assert (first.name, second.name) == ("triton-0", "triton-1")
    assert (first.socket, second.socket) == (layout.sockets / "triton:1", layout.sockets / "triton:2")
    assert (first.ports, dict(first.given)) == (("metrics", "llm"), {"llm": 7100})
    assert (second.ports, dict(second.given)) == (("metrics",), {})
    assert first.sweep != second.sweep
    command = second.command({"metrics": 6})
    assert {f"--grpc-address=unix:{layout.sockets / 'triton'}", "--grpc-port=2"} <= set(command.argv)
    assert not (layout.of("triton-1") / "repository" / "llm").exists()
    for spec in python_specs(given, layout):
        env = spec.command({"grpc": 5, "metrics": 6}).env
        if spec.service != "control":
            both = f"unix:{first.socket},{second.socket}"
            assert env[f"HEADWORKS_{spec.service.upper()}_TRITON_TARGET"] == both
        assert env.get(f"HEADWORKS_{spec.service.upper()}_LLM_TARGET") == (
            f"unix:{first.socket}" if spec.service == "orchestrator" else None
        )
    alone = python_specs(options(tmp_path, environ=environ), layout)
    assert "HEADWORKS_ORCHESTRATOR_LLM_TARGET" not in alone[2].command({"grpc": 5, "metrics": 6}).env
    limits = models.start_limits(given, Limits(ready=10))
    assert limits.ready > models.start_limits(options(tmp_path, environ=environ), Limits(ready=10)).ready


def test_replicas_of_the_language_model_share_the_cores_and_are_asked_each_by_itself(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    environ = {
        "HEADWORKS_MODELS_LLM": str(tmp_path / "tiny"),
        "HEADWORKS_MODELS_LLM_METRICS_PORT": "7100",
        "HEADWORKS_MODELS_LLM_THREADS": "8",
        "HEADWORKS_MODELS_EMBEDDERS": "multilingual-e5-small",
    }
    given = options(tmp_path, replicas={"llm": 3, "triton": 2}, environ=environ)
    specs = triton_specs(given, layout, 0)
    assert [(spec.name, dict(spec.given)) for spec in specs] == [
        ("triton-0", {"llm": 7100}), ("triton-1", {"llm": 7101}), ("triton-2", {"llm": 7102}),
    ]  # fmt: skip
    for spec in specs:
        assert spec.command({"metrics": 6, "llm": 7}).env["OMP_NUM_THREADS"] == "2"
        assert spec.more_metrics == (("llm", "/metrics"),)
    alone = {folder.name for folder in (layout.of("triton-2") / "repository").iterdir()}
    assert alone == {"llm"}, "the third is there for the language model"
    assert {"llm", "embed", "embed_e5"} <= {one.name for one in (layout.of("triton-1") / "repository").iterdir()}
    orchestrator = next(spec for spec in python_specs(given, layout) if spec.service == "orchestrator")
    env = orchestrator.command({"grpc": 5, "metrics": 6}).env
    sockets = [str(spec.socket) for spec in specs]
    assert env["HEADWORKS_ORCHESTRATOR_LLM_TARGET"] == f"unix:{','.join(sockets)}"
    assert env["HEADWORKS_ORCHESTRATOR_TRITON_TARGET"] == f"unix:{','.join(sockets[:2])}"
    assert set(given_ports(given)) >= {7100, 7101, 7102}
    limits = models.start_limits(given, Limits(ready=10)).ready
    assert limits > models.start_limits(options(tmp_path, environ=environ, replicas={"triton": 3}), Limits()).ready


def test_replicas_of_a_language_model_want_one(tmp_path: Path) -> None:
    with pytest.raises(BadOptions, match="name one with --llm"):
        models.with_llm(options(tmp_path, replicas={"llm": 2}))
    assert len(triton_specs(options(tmp_path, replicas={"llm": 2}), Layout(tmp_path), 0)) == 1


def test_the_private_key_is_named_to_the_gateway_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for spec in python_specs(options(tmp_path), layout):
        named = str(layout.identity_private_key) in spec.command({"grpc": 5, "metrics": 6}).env.values()
        assert named == (spec.service == "gateway")


def test_ports_and_folders_that_the_user_gives_are_kept(tmp_path: Path) -> None:
    environ = {"HEADWORKS_GATEWAY_PORT": "7000", "HEADWORKS_ORCHESTRATOR_RECORDS_URL": "sqlite:///mine.db"}
    made = python_specs(options(tmp_path, environ=environ, replicas={"gateway": 2}), Layout(tmp_path))
    assert [dict(spec.given) for spec in made if spec.service == "gateway"] == [{"grpc": 7000}, {"grpc": 7001}]
    orchestrator = next(spec for spec in made if spec.service == "orchestrator")
    env = orchestrator.command({"grpc": 5, "metrics": 6}).env
    assert env["HEADWORKS_ORCHESTRATOR_RECORDS_URL"] == "sqlite:///mine.db"


def test_ports_are_free_and_handed_out_once() -> None:
    book = PortBook()
    taken = [book.take() for _ in range(50)]
    assert len(set(taken)) == 50
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])
    assert is_free(pick())


def test_a_port_is_another_books_once_it_is_given_back() -> None:
    mine, other = PortBook(), PortBook()
    port = mine.take()
    assert mine.claim(port)
    assert not other.claim(port)
    mine.give_back(port)
    assert other.claim(port)
    assert not mine.claim(port)
    other.close()
    assert mine.claim(port)
    assert PortBook(scope="elsewhere").claim(port)


def test_ports_that_others_claimed_or_listen_at_are_not_handed_out() -> None:
    first = next(first for first in range(32_100, 32_700, 3) if all(map(is_free, range(first, first + 3))))
    other = PortBook()
    assert other.claim(first)
    with socket.create_server(("127.0.0.1", first + 1)):
        assert [PortBook(first, first + 3).take() for _ in range(8)] == [first + 2] * 8
        book = PortBook(first, first + 3)
        book.take()
        with pytest.raises(NoFreePort):
            book.take()


def test_ports_of_the_users_are_known_before_any_is_picked(tmp_path: Path) -> None:
    environ = {"HEADWORKS_GATEWAY_PORT": "7000", "HEADWORKS_CONTROL_METRICS_PORT": "7005"}
    made = options(tmp_path, environ=environ, replicas={"gateway": 2})
    assert given_ports(made).keys() == {7000, 7001, 7005}


def test_back_off_doubles_to_its_most_and_begins_anew() -> None:
    backoff = Backoff()
    assert [backoff.after(0) for _ in range(8)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])
    assert backoff.after(29.9) == 10
    assert backoff.after(30) == 0.2
    assert backoff.after(5) == 0.4


def test_control_is_told_what_changed() -> None:
    told = {"a": (("a-0", 1, ""),), "b": (("b-0", 2, "/run/b-0.sock"),)}
    assert changes(told, told) == {}
    assert changes({"a": (("a-0", 1, ""),), "b": ()}, told) == {"b": ()}
    assert changes(told, {}) == told


@pytest.mark.parametrize(
    ("config", "environ", "told"),
    [
        ('{"max_position_embeddings": 2048}', {}, ("tiny", "2048", None)),
        ('{"text_config": {"max_position_embeddings": 99}}', {}, ("tiny", "99", None)),
        ("{", {"HEADWORKS_MODELS_LLM_LORA": "a=/a,b=/b"}, ("tiny", None, "a,b")),
        ("{}", {"HEADWORKS_MODELS_LLM_MAX_MODEL_LEN": "512"}, ("tiny", "512", None)),
        ("{}", {"HEADWORKS_ORCHESTRATOR_LLM": "mine"}, ("mine", None, None)),
    ],
)
def test_the_orchestrator_is_told_of_the_language_model(
    tmp_path: Path, config: str, environ: dict[str, str], told: tuple[str, str | None, str | None]
) -> None:
    model = tmp_path / "models" / "tiny"
    model.mkdir(parents=True)
    (model / "config.json").write_text(config)
    made = python_specs(options(tmp_path, environ={"HEADWORKS_MODELS_LLM": str(model), **environ}), Layout(tmp_path))
    env = next(spec for spec in made if spec.service == "orchestrator").command({"grpc": 5, "metrics": 6}).env
    assert (
        tuple(env.get(f"HEADWORKS_ORCHESTRATOR_{name}") for name in ("LLM", "LLM_CONTEXT_LENGTH", "LLM_ADAPTERS"))
        == told
    )


def test_a_mesh_without_a_language_model_says_nothing_of_one(tmp_path: Path) -> None:
    for spec in python_specs(options(tmp_path), Layout(tmp_path)):
        assert not [name for name in spec.command({"grpc": 5, "metrics": 6}).env if "_LLM" in name]


def test_a_wrong_file_of_tools_is_named_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "tools.yaml"
    made = options(tmp_path, environ={"HEADWORKS_ORCHESTRATOR_TOOLS_FILE": str(file), "TOKEN": "x"})
    with pytest.raises(BadOptions, match="cannot be read"):
        models.check_tools(made)
    for wrong, why in (
        ("mcp:\n  a: {comand: [x]}\n", r"tools.yaml:2: mcp.a.comand: there is no such field"),
        ("mcp:\n  a: {command: [x], env: {T: {env: NOWHERE}}}\n", "the variable NOWHERE is not set"),
        ("databases:\n  a: {url: nonsense}\n", "not an SQLAlchemy URL"),
        ("- a\n", "are a mapping"),
    ):
        file.write_text(wrong)
        with pytest.raises(BadOptions, match=why):
            models.check_tools(made)
    file.write_text("mcp:\n  a: {command: [x], env: {T: {env: TOKEN}}, optional: true}\n")
    models.check_tools(made)
    models.check_tools(options(tmp_path))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"guards: {", "line"), (b"guards: 5", "guards"), (b"- pii", "valid"), (b"guards: [{guard: none}]", "guards"),
        (b"guards: [{guard: pii, stage: never}]", "stage"), (b"gaurds: []", "gaurds"), (b"\xff\xfe", "UTF-8"),
        (None, "cannot be read"),
    ],
)  # fmt: skip
def test_a_wrong_file_of_guards_is_named_before_anything_starts(tmp_path: Path, text: bytes | None, why: str) -> None:
    file = tmp_path / "guards.yaml"
    if text is not None:
        file.write_bytes(text)
    options = make_options(tmp_path, None, {}, None, {"HEADWORKS_GATEWAY_GUARDS_FILE": str(file)})
    with pytest.raises(BadOptions, match=why) as caught:
        check_guards(options)
    assert str(file) in str(caught.value)


def test_a_good_file_of_guards_or_none_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "guards.yaml").write_text("guards: [{guard: pii, stage: output}]")
    for environment in ({}, {"HEADWORKS_GATEWAY_GUARDS_FILE": str(tmp_path / "guards.yaml")}):
        check_guards(make_options(tmp_path, None, {}, None, environment))


def test_a_wrong_catalogue_is_named_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "models.yaml"
    made = options(tmp_path, environ={"HEADWORKS_ORCHESTRATOR_CATALOGUE_FILE": str(file)})
    with pytest.raises(BadOptions, match="cannot be read"):
        models.check_catalogue(made)
    file.write_text("models:\n  - name: a\n    generator: magic\n")
    with pytest.raises(BadOptions, match=r"models.yaml, line 3: models\[0\].generator"):
        models.check_catalogue(made)
    file.write_text("models: []")
    models.check_catalogue(made)
    models.check_catalogue(options(tmp_path))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["Internal: Stub process 'embed_0' is not healthy."], "within 75 s, the limit that is set by HEADWORKS"),
        (["Internal: ModuleNotFoundError"], ""),
        ([], ""),
    ],
)
def test_a_model_that_takes_too_long_to_load_names_the_limit(tmp_path: Path, lines: list[str], said: str) -> None:
    (spec,) = triton_specs(options(tmp_path, environ={"HEADWORKS_MODELS_START_SECONDS": "75"}), Layout(tmp_path), 0)
    assert said in spec.why(lines)
    assert bool(spec.why(lines)) == bool(said)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
async def test_a_gpu_that_is_not_there_is_named_before_anything_starts(tmp_path: Path) -> None:
    asked = options(tmp_path / "data", environ={"HEADWORKS_MODELS_DEVICE": "cuda"})
    with pytest.raises(Refused, match=r"HEADWORKS_MODELS_DEVICE is cuda, but .* or set HEADWORKS_MODELS_DEVICE=cpu$"):
        async with mesh(asked, lambda _: None):
            pass
    assert not (tmp_path / "data").exists()
    models.check_device(options(tmp_path))
    models.check_device(options(tmp_path, environ={"HEADWORKS_MODELS_DEVICE": "cpu"}))
