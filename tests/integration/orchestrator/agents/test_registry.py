"""Finding agents: whose they are, which version, and whether they can run."""

import asyncio

import pytest

from services.llm.catalogue.entry import ALL, CatalogueEntry, EngineKind
from services.llm.handle import ModelHandle
from services.llm.models import Catalogue
from services.orchestrator.agents.loop.bare import BareModel
from services.orchestrator.agents.loop.work import Kit
from services.orchestrator.agents.registry import Registry
from services.orchestrator.agents.service import AgentService
from services.orchestrator.agents.specs.errors import ModelUnavailable
from services.orchestrator.agents.specs.store import KIND, AgentStore
from services.orchestrator.runs.records import RunRecords
from services.orchestrator.schema.schema import SCHEMA
from services.orchestrator.schema.tables import REVISIONS
from services.runtime.errors import ModelNotFound, Unavailable
from services.runtime.records.changes import Changes
from services.runtime.records.database import Database
from tests.fakes.agents import FakeRetriever
from tests.fakes.models import ScriptedGenerator, catalogue, says, turns
from tests.fakes.serving import until

MODEL = ScriptedGenerator(turns(says("hi")))


def models() -> Catalogue:
    extractive = ModelHandle(CatalogueEntry("extractive", EngineKind.EXTRACTIVE), MODEL)
    return Catalogue(
        [ModelHandle(CatalogueEntry("small", EngineKind.TRITON, capabilities=ALL), MODEL), extractive], "small"
    )


@pytest.fixture
def store(records: RunRecords) -> AgentStore:
    return AgentStore(records.database)


def registry(store: AgentStore, given: Catalogue | None = None, rag_model: str = "") -> Registry:
    return Registry(store, Kit(given or models(), FakeRetriever()), rag_model)


@pytest.mark.parametrize("name", ["rag", "chat", "analyst", "extractor", "rag@1"])
async def test_shipped_agents(store: AgentStore, name: str) -> None:
    found = await registry(store).find("acme", name)
    assert (found.name, found.version) == (name.partition("@")[0], 1)


async def test_a_bare_model(store: AgentStore) -> None:
    found = await registry(store).find("acme", "small")
    assert isinstance(found, BareModel)
    assert found.version == 0


@pytest.mark.parametrize(
    "name",
    [
        "no",
        "rag@2",
        "rag@x",
        "rag@",
        "rag@１",
        "rag@01",
        "rag@1_0",
        "rag@ 1",
        "rag@²",
        "small@1",
        "small@0",
        "extractive",
        "",
        "@",
    ],
)
async def test_what_is_not_there(store: AgentStore, name: str) -> None:
    with pytest.raises(ModelNotFound):
        await registry(store).find("acme", name)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("model: gone", "no model 'gone' is served; start the mesh with --llm"),
        ("model: extractive", "only quotes from passages"),
        ("model: weak\ntools: [calculator]", "cannot call tools"),
    ],
)
async def test_what_cannot_run_now(store: AgentStore, spec: str, words: str) -> None:
    weak = ModelHandle(CatalogueEntry("weak", EngineKind.OPENAI), MODEL)
    given = Catalogue([*(models().find(name) for name in ("small", "extractive")), weak])
    found = registry(store, given)
    kept, _ = await AgentService(store, found).apply("acme", f"name: mine\n{spec}\n", dry_run=False)
    assert words in kept.unavailable
    with pytest.raises(ModelUnavailable) as caught:
        await found.find("acme", "mine")
    assert words in caught.value.message
    assert "mine" not in [one.id for one in await found.models("acme")]


async def test_a_stored_spec_that_takes_too_many_steps_fails_its_own_runs_only(store: AgentStore) -> None:
    rounds, end = "{% for a in range(1000) %}" * 3, "{% endfor %}" * 3
    await store.apply("acme", "bomb", f"name: bomb\nmodel: small\ninstructions: '{rounds}{end}'", "digest")
    await store.apply("acme", "fine", "name: fine\nmodel: small", "digest")
    found = registry(store)
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match=r"'bomb' cannot run: .* more than 10000 steps"):
            await found.find("acme", "bomb")
    assert (await found.find("acme", "fine")).name == "fine"
    assert (await AgentService(store, found).get("acme", "bomb")).unavailable.endswith("and filters)")


async def test_without_a_language_model_there_is_rag(store: AgentStore) -> None:
    extractive = Catalogue([ModelHandle(CatalogueEntry("extractive", EngineKind.EXTRACTIVE), MODEL)])
    found = registry(store, extractive)
    assert [one.id for one in await found.models("acme")] == ["rag"]
    with pytest.raises(ModelUnavailable, match="no language model is served"):
        await found.find("acme", "chat")


async def test_rag_may_ask_another_model(store: AgentStore) -> None:
    found = registry(store, rag_model="small")
    (rag,) = [one for one in await found.models("acme") if one.id == "rag"]
    assert rag.capabilities == tuple(sorted(ALL))


async def test_what_other_replicas_change_is_followed(store: AgentStore) -> None:
    mine, other = registry(store), registry(store)
    changes = Changes(store._database, table=REVISIONS)
    changes.follow(KIND, other.reload)
    await changes.look()
    keeper = AgentService(store, mine)
    await keeper.apply("acme", "name: mine\nmodel: small\n", dry_run=False)
    assert (await other.find("acme", "mine")).version == 1
    await keeper.apply("acme", "name: mine\nmodel: small\nprompt: Hi.\n", dry_run=False)
    assert (await mine.find("acme", "mine")).version == 2
    await changes.look()
    assert (await other.find("acme", "mine")).version == 2
    assert (await other.find("acme", "mine@1")).version == 1
    await keeper.delete("acme", "mine", 1)
    await changes.look()
    for replica in (mine, other):
        with pytest.raises(ModelNotFound):
            await replica.find("acme", "mine@1")
    await store.erase("acme")
    await changes.look()
    with pytest.raises(ModelNotFound):
        await other.find("acme", "mine")


async def test_what_another_replica_has_just_stored_is_found(store: AgentStore) -> None:
    """Before the change feed has told of it."""
    mine, other = registry(store), registry(store)
    with pytest.raises(ModelNotFound):
        await other.find("acme", "mine")
    await other.find("acme", "small")
    keeper = AgentService(store, mine)
    await keeper.apply("acme", "name: mine\nmodel: small\n", dry_run=False)
    assert (await other.find("acme", "mine")).version == 1
    await keeper.apply("acme", "name: mine\nmodel: small\nprompt: Hi.\n", dry_run=False)
    assert (await other.find("acme", "mine@2")).version == 2
    with pytest.raises(ModelNotFound):
        await other.find("other", "mine")


async def test_a_change_while_names_are_read_is_not_missed(store: AgentStore) -> None:
    found, read, go_on = registry(store), asyncio.Event(), asyncio.Event()
    latest = store.latest

    async def slow(tenant: str) -> dict[str, int]:
        names = await latest(tenant)
        read.set()
        await go_on.wait()
        return names

    store.latest = slow  # type: ignore[method-assign]
    early = asyncio.create_task(found.find("acme", "small"))
    await read.wait()
    await store.apply("acme", "mine", "name: mine\nmodel: small\n", "digest")
    await found.reload()
    go_on.set()
    await early
    assert (await found.find("acme", "mine")).version == 1


async def test_many_who_ask_at_once_read_once(store: AgentStore) -> None:
    reads = 0
    latest = store.latest

    async def count(tenant: str) -> dict[str, int]:
        nonlocal reads
        reads += 1
        return await latest(tenant)

    store.latest = count  # type: ignore[method-assign]
    found = registry(store)
    await asyncio.gather(*(found.find("acme", "small") for _ in range(100)))
    assert reads == 1


async def test_a_database_that_is_gone(store: AgentStore) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/records", SCHEMA, timeout=1)
    gone = AgentStore(nowhere)
    with pytest.raises(Unavailable):
        await registry(gone).find("acme", "small")
    found = registry(store)
    await found.find("acme", "small")
    found._store = gone
    # What was known goes on being known.
    for _ in range(3):
        await found.reload()
        assert (await found.find("acme", "small")).name == "small"
    await nowhere.aclose()


async def test_replicas_that_apply_at_once_number_their_versions(store: AgentStore) -> None:
    async def add(number: int) -> int:
        return (await store.apply("acme", "mine", f"spec {number}", f"digest {number}"))[0].version

    versions = await asyncio.gather(*(add(number) for number in range(16)))
    assert sorted(versions) == list(range(1, 17))
    again = await asyncio.gather(*(store.apply("acme", "mine", "spec", "same") for _ in range(8)))
    assert {stored.version for stored, _ in again} == {17}
    assert sum(changed for _, changed in again) == 1


async def test_a_task_that_looks_is_not_left_behind(store: AgentStore) -> None:
    found = registry(store)
    await found.find("acme", "small")
    await until(lambda: all(names.refresh is None for names in found._names.values()))


def test_the_catalogue_of_the_tests_is_one() -> None:
    assert catalogue(("small", MODEL)).find("small").generator is MODEL
