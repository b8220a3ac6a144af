"""Files and vector stores, by the unmodified client of OpenAI, before the real retrieval."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, NotFoundError, PermissionDeniedError

from services.retrieval.app import assemble, open_engine
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.points import PointStore
from tests.fakes.identity import Keys
from tests.fakes.retrieval import FakeEmbedder
from tests.fakes.serving import serving, until
from tests.integration.gateway.conftest import KEY, Gateway, MakeGateway

pytestmark = pytest.mark.integration

OTHER = "hw_" + "c" * 40
LIMIT = 1 << 20


@pytest.fixture
async def gateway(make_gateway: MakeGateway, keys: Keys, tmp_path: Path) -> AsyncIterator[Gateway]:
    settings = RetrievalSettings(data_dir=tmp_path / "retrieval", max_document_bytes=LIMIT, max_files_bytes=3 * LIMIT)
    app = await assemble(settings, PointStore(open_engine(settings)), [FakeEmbedder()], AsyncExitStack())
    async with serving(app, verifier=keys.verifier, settings=settings) as target:
        yield await make_gateway(retrieval_target=target, max_body_bytes=1 << 16)


def key_file(tmp_path: Path, **fields: Any) -> None:
    """Add a key of somebody else's to the operator's file."""
    path = tmp_path / "keys.json"
    stored = json.loads(path.read_text())
    other = {"id": "other", "prefix": OTHER[:11], "sha256": hashlib.sha256(OTHER.encode()).hexdigest()}
    stored["keys"].append({**other, "tenant": "acme", "subject": "other", **fields})
    path.write_text(json.dumps(stored))


def client_of(gateway: Gateway, key: str = KEY) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{gateway.http.base_url}/v1", api_key=key, max_retries=0)


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(gateway) as client:
        yield client


async def upload(client: AsyncOpenAI, name: str, text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    return (await client.files.create(file=(name, data), purpose="assistants")).id


async def test_files(client: AsyncOpenAI) -> None:
    data = bytes(range(256)) * 4000
    made = await client.files.create(file=("größe.bin", data), purpose="user_data")
    assert (made.filename, made.bytes, made.purpose, made.object) == ("größe.bin", len(data), "user_data", "file")
    assert await client.files.retrieve(made.id) == made
    assert (await client.files.content(made.id)).content == data
    second = await upload(client, "b.txt", "b")
    assert [one.id async for one in client.files.list()] == [second, made.id]
    assert [one.id async for one in client.files.list(limit=1, order="asc")] == [made.id, second]
    assert [one.id async for one in client.files.list(purpose="user_data")] == [made.id]
    assert (await client.files.delete(made.id)).deleted
    for gone in (client.files.retrieve(made.id), client.files.delete(made.id), client.files.content(made.id)):
        with pytest.raises(NotFoundError, match="there is no file"):
            await gone


@pytest.mark.parametrize(
    ("data", "purpose", "status", "code"),
    [
        (b"x" * (LIMIT + 1), "assistants", 413, "file_too_large"),
        (b"", "assistants", 400, "file_empty"),
        (b"x", "fine-tune", 400, "invalid_argument"),
    ],
)
async def test_uploads_that_are_refused_leave_nothing(
    client: AsyncOpenAI, data: bytes, purpose: Any, status: int, code: str
) -> None:
    with pytest.raises(APIStatusError) as caught:
        await client.files.create(file=("a.txt", data), purpose=purpose)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert not (await client.files.list()).data


async def test_a_tenant_has_so_much_room(client: AsyncOpenAI) -> None:
    first = await upload(client, "a.txt", b"x" * LIMIT)
    for name in ("b.txt", "c.txt"):
        await upload(client, name, b"x" * LIMIT)
    with pytest.raises(APIStatusError) as caught:
        await upload(client, "d.txt", b"x")
    assert (caught.value.status_code, caught.value.code) == (429, "files_full")
    await client.files.delete(first)
    await upload(client, "d.txt", b"x")


FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        (FORM, b"--b\r\ncontent-disposition: form-data; name=purpose\r\n\r\nassistants\r\n--b--\r\n", 400),
        (FORM, b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n', 400),
        (FORM, b'--b\r\ncontent-disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n', 400),
        (FORM, b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n', 400),
    ],
    ids=["json", "no file", "cut off", "another field", "no purpose"],
)
async def test_forms_that_are_refused(
    gateway: Gateway, client: AsyncOpenAI, content_type: str, body: bytes, status: int
) -> None:
    headers = {"authorization": f"Bearer {KEY}", "content-type": content_type}
    answer = await gateway.http.post("/v1/files", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert not (await client.files.list()).data


async def test_a_vector_store_from_file_to_search(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create(name="Manuals", metadata={"team": "water"})
    assert (store.name, store.metadata, store.status) == ("Manuals", {"team": "water"}, "completed")
    dams = await upload(client, "dams.md", "# Dams\n\nThe dam holds the water of 1907.")
    attached = await client.vector_stores.files.create_and_poll(
        dams, vector_store_id=store.id, attributes={"year": 1907, "open": True, "kind": "dam"}, poll_interval_ms=20
    )
    assert (attached.status, attached.last_error) == ("completed", None)
    assert attached.attributes == {"year": 1907, "open": True, "kind": "dam"}
    weirs = await client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("weirs.txt", b"The weir lets the water go."), poll_interval_ms=20
    )
    found = (await client.vector_stores.search(store.id, query="the dam of 1907")).data
    assert found[0].file_id == dams
    assert (found[0].filename, found[0].attributes) == ("dams.md", attached.attributes)
    assert "dam holds" in found[0].content[0].text
    assert 0 < found[0].score <= 1
    filters: list[tuple[Any, set[str]]] = [
        ({"type": "eq", "key": "open", "value": True}, {dams}),
        ({"type": "gt", "key": "year", "value": 1906}, {dams}),
        ({"type": "gt", "key": "year", "value": 1907}, set()),
        ({"type": "ne", "key": "kind", "value": "dam"}, {weirs.id}),
    ]
    for given, expected in filters:
        page = await client.vector_stores.search(store.id, query="water", filters=given)
        assert {hit.file_id for hit in page.data} == expected, given
    assert len((await client.vector_stores.search(store.id, query="water", max_num_results=1)).data) == 1
    best = await client.vector_stores.search(store.id, query="dam", ranking_options={"score_threshold": 0.99})
    assert {hit.file_id for hit in best.data} <= {dams}
    again = await client.vector_stores.retrieve(store.id)
    assert (again.file_counts.completed, again.file_counts.total) == (2, 2)
    assert again.usage_bytes > 0


async def test_batches(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create()
    ids = [await upload(client, name, f"{name} is about water") for name in ("a.txt", "b.md")]
    bad = await upload(client, "c.xyz", "not to be read")
    batch = await client.vector_stores.file_batches.create_and_poll(
        store.id, file_ids=[*ids, bad], attributes={"batch": 1}, poll_interval_ms=20
    )
    assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 2, 1)
    listed = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id)
    assert {one.id async for one in listed} == {*ids, bad}
    failed = [one async for one in client.vector_stores.files.list(store.id, filter="failed")]
    assert [(one.id, one.last_error and one.last_error.code) for one in failed] == [(bad, "unsupported_file")]
    uploaded = await client.vector_stores.file_batches.upload_and_poll(
        store.id, files=[("d.txt", b"more water"), ("e.txt", b"and yet more")], poll_interval_ms=20
    )
    assert uploaded.file_counts.completed == 2
    hits = (await client.vector_stores.search(store.id, query="water")).data
    assert {hit.filename for hit in hits} >= {"a.txt", "b.md", "d.txt"}


async def test_stores_are_listed_changed_and_deleted(client: AsyncOpenAI) -> None:
    made = [await client.vector_stores.create(name=f"s{number}") for number in range(3)]
    listed = [one.id async for one in client.vector_stores.list(limit=2, order="asc")]
    assert listed == sorted(one.id for one in made)
    changed = await client.vector_stores.update(made[0].id, name="other", metadata={"a": "b"})
    assert (changed.name, changed.metadata) == ("other", {"a": "b"})
    assert (await client.vector_stores.retrieve(made[0].id)).name == "other"
    assert (await client.vector_stores.delete(made[0].id)).deleted
    with pytest.raises(NotFoundError):
        await client.vector_stores.retrieve(made[0].id)
    with pytest.raises(NotFoundError):
        await client.vector_stores.search(made[0].id, query="x")


async def test_a_file_is_changed_read_and_taken_out(client: AsyncOpenAI) -> None:
    file = await upload(client, "dams.md", "The dam holds the water.")
    store = await client.vector_stores.create(file_ids=[file])
    attached = await client.vector_stores.files.poll(file, vector_store_id=store.id, poll_interval_ms=20)
    assert attached.status == "completed"
    text = [one.text async for one in client.vector_stores.files.content(file, vector_store_id=store.id)]
    assert text == ["The dam holds the water."]
    changed = await client.vector_stores.files.update(file, vector_store_id=store.id, attributes={"k": "new"})
    assert changed.attributes == {"k": "new"}
    found = await client.vector_stores.search(
        store.id, query="water", filters={"type": "eq", "key": "k", "value": "new"}
    )
    assert [hit.attributes for hit in found.data] == [{"k": "new"}]
    assert (await client.vector_stores.files.delete(file_id=file, vector_store_id=store.id)).deleted
    assert not (await client.vector_stores.search(store.id, query="water")).data
    with pytest.raises(NotFoundError):
        await client.vector_stores.files.retrieve(file_id=file, vector_store_id=store.id)
    assert (await client.files.retrieve(file)).id == file


async def test_what_is_unknown(client: AsyncOpenAI) -> None:
    store = await client.vector_stores.create()
    for call in (
        client.vector_stores.files.create(file_id="file-none", vector_store_id=store.id),
        client.vector_stores.files.retrieve(file_id="file-none", vector_store_id=store.id),
        client.vector_stores.file_batches.retrieve(batch_id="vsfb_none", vector_store_id=store.id),
        client.vector_stores.create(file_ids=["file-none"]),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert [one.id async for one in client.vector_stores.list()] == [store.id]


async def test_files_are_their_uploaders(gateway: Gateway, client: AsyncOpenAI, tmp_path: Path) -> None:
    file = await upload(client, "a.txt", "water")
    store = await client.vector_stores.create(file_ids=[file])
    key_file(tmp_path, scopes=["files.read:*", "files.write:*", "collections.*:*"])
    async with client_of(gateway, OTHER) as other:
        await _known(other)
        assert not (await other.files.list()).data
        for call in (
            other.files.retrieve(file),
            other.files.delete(file),
            other.files.content(file),
            other.vector_stores.files.create(file_id=file, vector_store_id=store.id),
        ):
            with pytest.raises(NotFoundError):
                await call
    assert (await client.files.retrieve(file)).id == file


async def test_permissions(gateway: Gateway, client: AsyncOpenAI, tmp_path: Path) -> None:
    file = await upload(client, "a.txt", "water")
    store = await client.vector_stores.create(file_ids=[file])
    key_file(tmp_path, scopes=["collections.read:*"])
    async with client_of(gateway, OTHER) as other:
        await _known(other)
        await other.vector_stores.search(store.id, query="water")
        for call in (
            other.files.create(file=("a.txt", b"x"), purpose="assistants"),
            other.files.list(),
            other.vector_stores.create(),
            other.vector_stores.files.create(file_id=file, vector_store_id=store.id),
            other.vector_stores.delete(store.id),
        ):
            with pytest.raises(PermissionDeniedError, match="is missing"):
                await call


async def test_access_groups_of_files(gateway: Gateway, client: AsyncOpenAI, tmp_path: Path) -> None:
    secret, plain = [await upload(client, name, f"{name} water") for name in ("secret.txt", "plain.txt")]
    store = await client.vector_stores.create()
    await client.vector_stores.files.create_and_poll(
        secret, vector_store_id=store.id, extra_body={"access_groups": ["hr"]}, poll_interval_ms=20
    )
    await client.vector_stores.files.create_and_poll(plain, vector_store_id=store.id, poll_interval_ms=20)
    for groups, seen in (([], {plain}), (["hr"], {plain, secret})):
        keys = json.loads((tmp_path / "keys.json").read_text())
        keys["keys"] = keys["keys"][:1]
        (tmp_path / "keys.json").write_text(json.dumps(keys))
        key_file(tmp_path, scopes=["collections.*:*"], groups=groups)
        async with client_of(gateway, OTHER) as other:
            await _known(other, store.id, len(seen))
            hits = await other.vector_stores.search(store.id, query="water")
            assert {hit.file_id for hit in hits.data} == seen
            assert {one.id async for one in other.vector_stores.files.list(store.id)} == seen
            assert (await other.vector_stores.retrieve(store.id)).file_counts.total == len(seen)
            if secret not in seen:
                for call in (
                    other.vector_stores.files.retrieve(file_id=secret, vector_store_id=store.id),
                    other.vector_stores.files.delete(file_id=secret, vector_store_id=store.id),
                ):
                    with pytest.raises(NotFoundError):
                        await call


async def test_a_plain_search(gateway: Gateway, client: AsyncOpenAI) -> None:
    file = await upload(client, "dams.md", "# Dams\n\nThe dam holds the water.")
    store = await client.vector_stores.create()
    await client.vector_stores.files.create_and_poll(
        file, vector_store_id=store.id, attributes={"k": "v"}, poll_interval_ms=20
    )
    headers = {"authorization": f"Bearer {KEY}"}
    for value, hits in (("v", 1), ("w", 0)):
        body = {
            "collection": store.id,
            "query": "dam",
            "limit": 3,
            "mode": "lexical",
            "filter": {"any": [{"must": [{"field": "metadata.k", "any_of": [value]}]}]},
        }
        answer = await gateway.http.post("/v1/search", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["hits"]) == hits
        if hits:
            (hit,) = answer.json()["hits"]
            assert hit["document"] == {"id": file, "title": "Dams", "uri": "dams.md"}
            assert "The dam holds the water." in hit["passage"]["text"]
            assert hit["passage"]["headings"] == ["Dams"]
            assert [signal["signal"] for signal in hit["signals"]] == ["lexical"]
    for wrong in ({"query": ""}, {"query": "x", "mode": "best"}, {"query": "x", "filter": {"all": []}}, {"q": "x"}):
        assert (await gateway.http.post("/v1/search", json=wrong, headers=headers)).status_code == 400


async def _known(client: AsyncOpenAI, store: str = "", seen: int = 0) -> None:
    """Wait until the key's entry in the operator's file is followed."""

    async def followed() -> bool:
        try:
            page = await client.vector_stores.files.list(store) if store else await client.vector_stores.list()
        except APIStatusError:
            return False
        return not store or len(page.data) == seen

    await until(followed)
