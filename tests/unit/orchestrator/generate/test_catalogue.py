"""The catalogue: what is found under which name, and what it costs."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.llm.catalogue.entry import CatalogueEntry, EngineKind
from services.llm.catalogue.file import BadCatalogue
from services.llm.client import HttpClient
from services.llm.generation import Routed, TokenCounts
from services.llm.handle import ModelHandle
from services.llm.models import Catalogue, ModelFactory
from services.llm.price import Price
from services.llm.route_report import RouteReport
from services.llm.settings import LlmSettings
from services.llm.triton.client import LlmClient
from services.orchestrator.generate.engines import mesh_engines, open_catalogue
from services.orchestrator.settings import OrchestratorSettings
from services.runtime.errors import ModelNotFound
from tests.fakes.agents import FakeGenerator


def served(name: str) -> ModelHandle:
    return ModelHandle(CatalogueEntry(name, EngineKind.TRITON), FakeGenerator())


@pytest.mark.parametrize(("name", "found"), [("a", "a"), ("b", "b"), ("", "b"), ("default", "b")])
def test_names(name: str, found: str) -> None:
    assert Catalogue([served("a"), served("b")], "b").find(name).entry.name == found


@pytest.mark.parametrize("name", ["c", "", "default"])
def test_a_name_that_is_not_there(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        Catalogue([served("a")]).find(name)
    assert caught.value.details == {"model": name or "default"}


def test_the_default_must_be_there() -> None:
    with pytest.raises(ValueError, match="'b'"):
        Catalogue([served("a")], "b")


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [(TokenCounts(), 0), (TokenCounts(1_000_000, 1_000_000), 7_000), (TokenCounts(1, 0), 1), (TokenCounts(1000, 1), 3)],
)
def test_cost_is_rounded_up(tokens: TokenCounts, cost: int) -> None:
    assert CatalogueEntry("a", EngineKind.TRITON, price=Price(2_000, 5_000)).cost_nanos(tokens) == cost


async def opened(
    secrets: dict[str, str] | None = None, models: LlmSettings | None = None, replicas: int = 1, **settings: Any
) -> Catalogue:
    async with AsyncExitStack() as resources:
        channel = await resources.enter_async_context(grpc.aio.insecure_channel("127.0.0.1:1"))
        llm = LlmClient(channel)
        resources.push_async_callback(llm.aclose)
        llms = {f"dns:///triton-{number}:8001": llm for number in range(replicas)}
        engines = ModelFactory(HttpClient(), (secrets or {}).get, mesh_engines(0.4, llms))
        return open_catalogue(OrchestratorSettings(**settings), models or LlmSettings(), engines)


async def test_without_a_language_model_there_are_only_quotes() -> None:
    catalogue = await opened()
    assert [entry.name for entry in catalogue.entries] == ["extractive"]
    with pytest.raises(ModelNotFound):
        catalogue.find("default")


async def test_the_meshs_own_language_model_is_the_default() -> None:
    catalogue = await opened(llm="tiny", llm_adapters="legal, medical", llm_context_length=2048)
    assert [entry.name for entry in catalogue.entries] == ["tiny", "legal", "medical", "extractive"]
    assert [entry.lora for entry in catalogue.entries] == ["", "legal", "medical", ""]
    assert catalogue.find("").entry.name == "tiny"
    assert catalogue.find("legal").entry.context_length == 2048
    assert catalogue.find("tiny").generator.name == "llm"


FILE = """
default: far
models:
  - {name: far, generator: openai, base_url: "http://127.0.0.1:1/v1", api_key_env: FAR_KEY}
  - {name: tiny, generator: triton, price: {output: 1}}
"""


async def test_a_file_adds_to_them_and_wins(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(FILE)
    catalogue = await opened({"FAR_KEY": "secret"}, catalogue_file=path, llm="tiny", llm_context_length=2048)
    assert [entry.name for entry in catalogue.entries] == ["far", "tiny", "extractive"]
    assert catalogue.find("default").entry.name == "far"
    assert catalogue.find("tiny").entry.price.output_nanos == 10**9
    assert catalogue.find("tiny").entry.context_length == 2048
    assert catalogue.find("far").generator.name == "upstream"
    assert catalogue.find("far").entry.context_length == 0


@pytest.mark.parametrize("secrets", [{}, {"FAR_KEY": ""}, {"FAR_KEY": "ключ"}, {"FAR_KEY": "a\nb"}])
async def test_a_key_that_is_none(tmp_path: Path, secrets: dict[str, str]) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(FILE)
    with pytest.raises(BadCatalogue, match="'far'") as caught:
        await opened(secrets, catalogue_file=path)
    assert not [key for key in secrets.values() if key and key in str(caught.value)]


async def test_a_key_in_a_file(tmp_path: Path) -> None:
    path, key = tmp_path / "models.yaml", tmp_path / "key"
    path.write_text(FILE.replace("api_key_env: FAR_KEY", f"api_key_file: {key}"))
    with pytest.raises(BadCatalogue, match="cannot be read"):
        await opened(catalogue_file=path)
    key.write_text("secret\n")
    assert (await opened(catalogue_file=path)).find("far").entry.api_key_file == str(key)


async def test_one_setting_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(FILE)
    models = LlmSettings(models_file=path)
    assert (await opened({"FAR_KEY": "secret"}, models, llm="tiny")).find("default").entry.name == "far"
    with pytest.raises(BadCatalogue, match="HEADWORKS_ORCHESTRATOR_CATALOGUE_FILE"):
        await opened({"FAR_KEY": "secret"}, models, llm="tiny", catalogue_file=path)


ROUTES = """
routes:
  - {name: steady, targets: [{model: far}, {model: tiny, order: 1}]}
"""


async def test_a_route_may_lead_to_the_meshs_own_model(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(FILE.split("  - {name: tiny")[0].replace("default: far", "default: steady") + ROUTES)
    catalogue = await opened({"FAR_KEY": "secret"}, catalogue_file=path, llm="tiny", llm_context_length=2048)
    steady = catalogue.find("default")
    assert (steady.entry.name, set(steady.targets)) == ("steady", {"far", "tiny"})
    assert [(one.model, one.breaker) for one in steady.health()] == [("far", "closed"), ("tiny", "closed")]
    with pytest.raises(BadCatalogue, match="there is no model 'tiny'"):
        await opened({"FAR_KEY": "secret"}, catalogue_file=path)


def names_of(handle: ModelHandle) -> list[tuple[str, int, int]]:
    return [(one.model, one.order, one.weight) for one in handle.health()]


async def test_the_replicas_of_the_language_model_are_targets_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("models:\n  - {name: tiny, generator: triton, price: {output: 1}}")
    catalogue = await opened(replicas=2, catalogue_file=path, llm="tiny", llm_context_length=2048)
    assert [entry.name for entry in catalogue.entries] == ["tiny", "extractive"]
    tiny = catalogue.find("default")
    assert names_of(tiny) == [("tiny@0", 0, 1), ("tiny@1", 0, 1)]
    assert (tiny.entry.context_length, tiny.entry.engine) == (2048, EngineKind.TRITON)
    assert {one.price.output_nanos for one in tiny.targets.values()} == {10**9}
    assert names_of((await opened(llm="tiny")).find("tiny")) == []


async def test_each_replica_is_a_target_of_a_route_that_leads_to_the_model(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    route = "routes:\n  - {name: steady, targets: [{model: far}, {model: tiny, weight: 3, order: 1}]}"
    path.write_text(f"{FILE}{route}")
    catalogue = await opened({"FAR_KEY": "secret"}, catalogue_file=path, llm="tiny", replicas=2)
    steady = catalogue.find("steady")
    assert names_of(steady) == [("far", 0, 1), ("tiny@0", 1, 3), ("tiny@1", 1, 3)]
    assert steady.cost_nanos(TokenCounts(0, 1), Routed(RouteReport("steady", "tiny@1"))) == 1000
