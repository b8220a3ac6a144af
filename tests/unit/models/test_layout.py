"""What tritonserver is given to read, and how it is started."""

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.models import layout, triton
from services.models.layout import ConfigMismatch, lay_out_backend, lay_out_repository, render_embed
from services.models.rerank.check import CannotRerank
from services.models.settings import ModelsSettings

PORTS = triton.Listen(grpc=7001, metrics=7003)
SETTINGS = ModelsSettings(threads=3, embed_instances=5, embed_queue_delay=250)


def test_settings_end_up_in_the_configuration(tmp_path: Path) -> None:
    repository = lay_out_repository(tmp_path / "models", SETTINGS)
    embed = (repository / "embed/config.pbtxt").read_text()
    assert 'key: "threads" value: { string_value: "3" }' in embed
    assert "count: 5" in embed
    assert "max_queue_delay_microseconds: 250" in embed
    assert (repository / "embed/1/model.py").is_file()


def test_the_checked_in_configuration_is_the_default(tmp_path: Path) -> None:
    repository = lay_out_repository(tmp_path, ModelsSettings())
    for model in triton.MODELS:
        name = f"{model}/config.pbtxt"
        assert (repository / name).read_text() == (layout.REPOSITORY / name).read_text()


def test_on_a_gpu_the_models_see_to_their_device_themselves(tmp_path: Path) -> None:
    settings = ModelsSettings(device="cuda:1", embedders="multilingual-e5-small", reranker="late-interaction")
    repository = lay_out_repository(tmp_path, settings)
    for model in ("embed", "embed_passages", "embed_e5", "embed_e5_passages", "rerank"):
        config = (repository / model / "config.pbtxt").read_text()
        assert 'key: "device" value: { string_value: "cuda:1" }' in config
        assert "kind: KIND_MODEL count: " in config
        assert "KIND_CPU" not in config
    # A small head on the processor, that asks `embed`.
    assert "KIND_CPU" in (repository / "injection/config.pbtxt").read_text()


def test_what_finds_the_drivers_libraries_is_passed_on_for_a_gpu_alone(tmp_path: Path) -> None:
    env = {"LD_LIBRARY_PATH": "/usr/local/nvidia/lib64"}
    plain, there, bare = (
        triton.prepare(tmp_path, PORTS, ModelsSettings(device=device), given).env["LD_LIBRARY_PATH"]
        for device, given in (("cpu", env), ("cuda", env), ("cuda", {}))
    )
    assert there == f"{plain}:/usr/local/nvidia/lib64"
    assert bare == plain
    assert "nvidia_pytriton.libs" in plain


def test_a_device_that_is_none_is_refused_by_name() -> None:
    for name in ("gpu", "cuda:", "cuda:one", "CUDA", ""):
        with pytest.raises(ValidationError, match=f"no device '{name}': write cpu, cuda, or cuda:1"):
            ModelsSettings(device=name)


def test_a_further_embedder_has_models_of_its_own(tmp_path: Path) -> None:
    settings = ModelsSettings(threads=3, embed_instances=5, embedders=" multilingual-e5-small, all-minilm-l6-v2")
    repository = lay_out_repository(tmp_path, settings)
    for model, reads in (("embed_e5", "query"), ("embed_e5_passages", "passage")):
        config = (repository / model / "config.pbtxt").read_text()
        assert f'name: "{model}"' in config
        assert 'key: "embedder" value: { string_value: "multilingual-e5-small" }' in config
        assert f'key: "reads" value: {{ string_value: "{reads}" }}' in config
        assert 'key: "threads" value: { string_value: "3" }' in config
        assert (repository / model / "1/model.py").is_file()
    assert set(triton.models(settings)) == {*triton.MODELS, "embed_e5", "embed_e5_passages"}
    assert triton.start_seconds(settings) > triton.start_seconds(ModelsSettings())


def test_a_reranker_is_served_where_a_setting_names_it(tmp_path: Path) -> None:
    assert not (lay_out_repository(tmp_path / "without", ModelsSettings()) / "rerank").exists()
    settings = ModelsSettings(reranker="late-interaction", rerank_instances=3, rerank_threads=2)
    config = (lay_out_repository(tmp_path / "with", settings) / "rerank/config.pbtxt").read_text()
    assert 'key: "reranker" value: { string_value: "late-interaction" }' in config
    assert 'key: "threads" value: { string_value: "2" }' in config
    assert "count: 3" in config
    assert set(triton.models(settings)) == {*triton.MODELS, "rerank"}


def test_a_reranker_that_cannot_be_served_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CannotRerank, match="it has no"):
        triton.prepare(tmp_path / "data", PORTS, ModelsSettings(reranker=str(tmp_path)))


def test_an_unknown_embedder_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="there is no embedder 'e6': all-minilm-l6-v2, multilingual-e5-small"):
        ModelsSettings(embedders="e6")


def test_laying_out_again_removes_what_is_old(tmp_path: Path) -> None:
    lay_out_repository(tmp_path / "models", SETTINGS)
    stale = tmp_path / "models/gone/config.pbtxt"
    stale.parent.mkdir()
    stale.touch()
    lay_out_repository(tmp_path / "models", SETTINGS)
    assert not stale.exists()


def test_a_configuration_without_the_field_is_an_error() -> None:
    with pytest.raises(ConfigMismatch, match="count"):
        render_embed("max_queue_delay_microseconds: 1", ModelsSettings())


def test_the_backend_has_the_stub_of_this_python(tmp_path: Path) -> None:
    lay_out_backend(tmp_path)
    assert os.access(tmp_path / "python" / layout.STUB, os.X_OK)
    assert (tmp_path / "python/libtriton_python.so").is_file()
    assert (tmp_path / "python/triton_python_backend_utils.py").is_file()


def test_an_unknown_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "python_version", lambda: "3.99")
    with pytest.raises(layout.TritonNotFound, match=r"3\.99"):
        lay_out_backend(tmp_path)


def test_the_command_listens_on_the_loopback_only(tmp_path: Path) -> None:
    command = triton.prepare(tmp_path, PORTS, ModelsSettings(), {"HOME": "/home"})
    assert Path(command.argv[0]).is_file()
    assert Path(command.argv[command.argv.index("services.models.launch") + 1]).name == "tritonserver"
    addresses = [argument for argument in command.argv if "-address=" in argument]
    assert addresses == [f"--{name}-address=127.0.0.1" for name in ("grpc", "metrics")]
    assert {"--grpc-port=7001", "--allow-http=false", "--metrics-port=7003"} <= set(command.argv)
    # Or it hangs up, with all calls under way, after three minutes of a quiet stream.
    assert "--grpc-http2-max-ping-strikes=0" in command.argv
    assert command.env["HOME"] == "/home"
    assert str(triton.PROJECT) in command.env["PYTHONPATH"].split(os.pathsep)


def test_a_language_model_leaves_a_core_to_others(tmp_path: Path) -> None:
    cores = len(os.sched_getaffinity(0))
    for given, threads in ((0, max(1, cores - 1)), (7, 7)):
        settings = ModelsSettings(llm="a/b", llm_threads=given)
        command = triton.prepare(tmp_path, PORTS, settings, {"OMP_NUM_THREADS": "99"})
        assert command.env["OMP_NUM_THREADS"] == str(threads)


@pytest.mark.parametrize(
    ("settings", "seconds", "named"),
    [
        (ModelsSettings(), 60, "HEADWORKS_MODELS_START_SECONDS"),
        (ModelsSettings(start_seconds=240.5), 241, "HEADWORKS_MODELS_START_SECONDS"),
        (ModelsSettings(start_seconds=90, llm="a/b", llm_start_seconds=100), 190, "LLM_START_SECONDS together"),
    ],
)
def test_how_long_models_may_take_to_load_is_a_setting(
    tmp_path: Path, settings: ModelsSettings, seconds: int, named: str
) -> None:
    command = triton.prepare(tmp_path, PORTS, settings, {})
    assert f"--backend-config=python,stub-timeout-seconds={seconds}" in command.argv
    assert triton.start_setting(settings).endswith(named)


def test_libpython_is_there() -> None:
    triton.check_libpython()


def test_a_missing_libpython_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "python_version", lambda: "3.99")
    with pytest.raises(triton.LibpythonNotFound, match=r"apt install libpython3\.99"):
        triton.check_libpython()


@pytest.mark.parametrize("changes", [{"threads": 0}, {"embed_instances": 0}])
def test_settings_out_of_range_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        ModelsSettings.model_validate(changes)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWORKS_MODELS_THREADS", "2")
    assert ModelsSettings().threads == 2
    assert all(field.description for field in ModelsSettings.model_fields.values())


def test_the_running_version_is_named() -> None:
    assert layout.python_version() == f"{sys.version_info.major}.{sys.version_info.minor}"
