"""A Qdrant server over gRPC. The only module that knows `qdrant_client`.

A tenant's collection is named TENANT__COLLECTION there, and a later generation of its index TENANT__COLLECTION@NUMBER.
The first one, emptied when it is no longer searched, has what is on record of the collection. Replicas of this service
may share a server: the last one to commit a document wins, and its commit deletes what the others wrote.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import grpc
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from services.retrieval.errors import CollectionExists, StoreUnavailable
from services.retrieval.model import WIDTH, Candidates, CollectionKey, Signal, Sparse, StoreQuery
from services.retrieval.store import codec
from services.retrieval.store.engine import (
    About,
    Amend,
    Empty,
    FieldTest,
    Found,
    Operation,
    Payload,
    Point,
    Remove,
    Upsert,
    Where,
    Within,
    candidates_of,
)
from services.runtime.embedders import MINILM
from services.runtime.errors import CollectionNotFound

T = TypeVar("T")

PAGE = 1024
SECONDS = 30
BETWEEN = "__"
GENERATION = "@"
ABOUT_ID = "00000000-0000-5000-8000-000000000001"
ABOUT = "collection"


class ServerEngine:
    """A VectorEngine at a server."""

    def __init__(self, client: AsyncQdrantClient) -> None:
        self._client = client
        self._indexed: set[str] = set()

    @classmethod
    def connect(cls, url: str, api_key: str) -> "ServerEngine":
        """Does not wait for the server; `ready` tells of it."""
        host, _, port = url.partition("://")[2].rpartition(":")
        client = AsyncQdrantClient(
            host=host,
            grpc_port=int(port),
            prefer_grpc=True,
            https=url.startswith("https:"),
            api_key=api_key or None,
            timeout=SECONDS,
            check_compatibility=False,
        )
        return cls(client)

    async def create(self, key: CollectionKey, about: About) -> None:
        if await self._guard(key, self._client.collection_exists(_name(key))):
            raise CollectionExists(key.collection)
        await self._create(key)
        await self._record(key, about)

    async def _create(self, key: CollectionKey) -> None:
        name = _name(key)
        await self._guard(
            key,
            self._client.create_collection(
                name,
                vectors_config={codec.DENSE: models.VectorParams(size=WIDTH, distance=models.Distance.COSINE)},
                sparse_vectors_config={codec.LEXICAL: models.SparseVectorParams(modifier=models.Modifier.IDF)},
            ),
        )
        await self._guard(key, self._index(name))
        self._indexed.add(name)

    async def _record(self, key: CollectionKey, about: About) -> None:
        """In one step, which all replicas see."""
        payload = {
            "kind": ABOUT,
            "tenant": key.tenant,
            "max_chars": about.max_chars,
            "create_time": about.create_time,
            "generation": about.generation,
            "embedders": {str(number): name for number, name in about.embedders.items()},
        }
        await self.apply(key.whole, [Upsert([Point(ABOUT_ID, payload)])])

    async def about(self, key: CollectionKey) -> About:
        found = await self.retrieve(key.whole, [ABOUT_ID])
        if not found:
            raise CollectionNotFound(key.collection)
        payload = found[0][1]
        own = {int(number): str(name) for number, name in payload.get("embedders", {0: MINILM.name}).items()}
        return About(payload["max_chars"], payload["create_time"], payload.get("generation", 0), own)

    async def extend(self, key: CollectionKey, embedder: str) -> About:
        about = (await self.about(key)).with_generation(embedder)
        fresh = key.at(max(about.embedders))
        if await self._guard(key, self._client.collection_exists(_name(fresh))):  # left by a process that died
            await self._guard(key, self._client.delete_collection(_name(fresh)))
        await self._create(fresh)
        await self._record(key, about)
        return about

    async def switch(self, key: CollectionKey) -> None:
        about = await self.about(key)
        if key.generation not in about.embedders:
            raise CollectionNotFound(key.collection)
        await self._record(key, replace(about, generation=key.generation))

    async def retire(self, key: CollectionKey) -> None:
        about = await self.about(key)
        if key.generation not in about.embedders or key.generation == about.generation:
            raise CollectionNotFound(key.collection)
        await self._record(key, about.without(key.generation))
        if key.generation:
            await self._guard(key, self._client.delete_collection(_name(key)))
            self._indexed.discard(_name(key))
        else:
            await self.apply(key, [Remove(where=Where(none_of=[("kind", [ABOUT])]))])

    async def moving(self) -> Sequence[CollectionKey]:
        found: list[CollectionKey] = []
        names = [each.name for each in (await self._guard(None, self._client.get_collections())).collections]
        for base in dict.fromkeys(name.partition(GENERATION)[0] for name in names if GENERATION in name):
            records = await self._guard(None, self._client.retrieve(base, [ABOUT_ID], with_payload=True))
            payload = records[0].payload or {} if records else {}
            if len(payload.get("embedders", {})) > 1:
                found.append(CollectionKey(payload["tenant"], base.partition(BETWEEN)[2]))
        return found

    async def names(self, tenant: str) -> Sequence[str]:
        prefix = codec.tenant_name(tenant) + BETWEEN
        found = await self._guard(None, self._client.get_collections())
        own = [each.name.removeprefix(prefix) for each in found.collections if each.name.startswith(prefix)]
        return sorted(name for name in own if GENERATION not in name)

    async def owned(self) -> Sequence[CollectionKey]:
        """None: another replica may be writing to any of them. What it left is deleted by the next commit."""
        return ()

    async def drop(self, key: CollectionKey) -> None:
        if not await self._guard(key, self._client.collection_exists(_name(key))):
            raise CollectionNotFound(key.collection)
        generations = (await self.about(key)).embedders
        for generation in {0: "", **generations}:
            name = _name(key.at(generation))
            await self._guard(key, self._client.delete_collection(name))
            self._indexed.discard(name)

    async def apply(self, key: CollectionKey, operations: Sequence[Operation]) -> None:
        name = _name(key)
        if name not in self._indexed:
            await self._guard(key, self._index(name))
            self._indexed.add(name)
        for operation in operations:
            await self._apply(key, operation)

    async def retrieve(self, key: CollectionKey, ids: Sequence[str], without: Sequence[str] = ()) -> Found:
        if not ids:
            return []
        selected = models.PayloadSelectorExclude(exclude=list(without)) if without else True
        found = await self._guard(
            key, self._client.retrieve(_name(key), list(ids), with_payload=selected, with_vectors=False)
        )
        return [(str(record.id), record.payload or {}) for record in found]

    async def scroll(
        self, key: CollectionKey, where: Where, only: Sequence[str] = (), without: Sequence[str] = ()
    ) -> Found:
        selected: Any = models.PayloadSelectorExclude(exclude=list(without)) if without else (list(only) or True)
        found: list[tuple[str, Payload]] = []
        offset: Any = None
        while True:
            records, offset = await self._guard(key, self._page(key, where, selected, offset))
            found.extend((str(record.id), record.payload or {}) for record in records)
            if offset is None:
                return found

    async def count(self, key: CollectionKey, where: Where) -> int:
        found = await self._guard(key, self._client.count(_name(key), count_filter=_filter(where), exact=True))
        return found.count

    async def query(self, key: CollectionKey, probe: StoreQuery) -> Candidates:
        signals, requests = _requests(probe)
        if not requests:
            return Candidates({})
        answers = await self._guard(key, self._client.query_batch_points(_name(key), requests))
        scored = [[(str(point.id), point.score) for point in answer.points] for answer in answers]
        return candidates_of(signals, len(probe.exact), scored)

    async def rest(self, key: CollectionKey) -> None:
        """A server does so by itself."""

    async def ready(self) -> bool:
        try:
            await self._client.get_collections()
        except (grpc.aio.AioRpcError, ApiException, ResponseHandlingException):
            return False
        return True

    async def aclose(self) -> None:
        await self._client.close()

    async def _index(self, name: str) -> None:
        """Index the fields that are not: all of a new collection, or those that an earlier version had not."""
        there = (await self._client.get_collection(name)).payload_schema
        keyword = models.PayloadSchemaType.KEYWORD
        for field in codec.INDEXED:
            if field not in there:
                await self._client.create_payload_index(name, field, field_schema=keyword, wait=True)

    async def _apply(self, key: CollectionKey, operation: Operation) -> None:
        name = _name(key)
        match operation:
            case Upsert(points):
                written = [_point(point) for point in points]
                await self._guard(key, self._client.upsert(name, written, wait=True))
            case Remove(ids, where):
                for chosen in _selectors(ids, where):
                    await self._guard(key, self._client.delete(name, chosen, wait=True))
            case Amend(payload, ids, where):
                for chosen in _selectors(ids, where):
                    await self._guard(key, self._client.set_payload(name, payload, points=chosen, wait=True))

    def _page(self, key: CollectionKey, where: Where, selected: Any, offset: Any) -> Awaitable[Any]:
        return self._client.scroll(
            _name(key),
            scroll_filter=_filter(where),
            limit=PAGE,
            offset=offset,
            with_payload=selected,
            with_vectors=False,
        )

    async def _guard(self, key: CollectionKey | None, work: Awaitable[T]) -> T:
        """The engine's errors as the domain's."""
        try:
            return await work
        except (grpc.aio.AioRpcError, ApiException, ResponseHandlingException, ValueError) as error:
            if key and _says_missing(error):
                raise CollectionNotFound(key.collection) from error
            if key and _says_taken(error):
                raise CollectionExists(key.collection) from error
            raise StoreUnavailable("the store does not answer") from error


def _name(key: CollectionKey) -> str:
    later = f"{GENERATION}{key.generation}" if key.generation else ""
    return f"{codec.tenant_name(key.tenant)}{BETWEEN}{key.collection}{later}"


def _says_missing(error: Exception) -> bool:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() == grpc.StatusCode.NOT_FOUND
    if isinstance(error, UnexpectedResponse):
        return error.status_code == 404
    return isinstance(error, ValueError) and "not found" in str(error)


def _says_taken(error: Exception) -> bool:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() == grpc.StatusCode.ALREADY_EXISTS
    return isinstance(error, ValueError) and "already exists" in str(error)


def _selectors(ids: Sequence[str], where: Where | None) -> list[Any]:
    by_id: list[Any] = [models.PointIdsList(points=list(ids))] if ids else []
    return [*by_id, *([models.FilterSelector(filter=_filter(where))] if where else [])]


def _point(point: Point) -> models.PointStruct:
    vectors: Any = {}
    if point.dense is not None:
        vectors[codec.DENSE] = point.dense.tolist()
    if point.lexical is not None and point.lexical.indices:
        vectors[codec.LEXICAL] = _sparse(point.lexical)
    return models.PointStruct(id=point.id, vector=vectors, payload=point.payload)


def _sparse(vector: Sparse) -> models.SparseVector:
    return models.SparseVector(indices=vector.indices, values=vector.values)


def _filter(where: Where) -> models.Filter:
    must: list[Any] = [*map(_condition, where.all_of)]
    must += [models.Filter(should=[_filter(one) for one in group]) for group in where.any_of]
    return models.Filter(must=must or None, must_not=[*map(_condition, where.none_of)] or None)


def _condition(test: FieldTest) -> models.FieldCondition | models.Filter:
    if isinstance(test, Empty):
        return models.Filter(must_not=[_condition((test.field, [test.mark]))])
    if isinstance(test, Within):
        bounds = models.Range(gt=test.range.gt, gte=test.range.gte, lt=test.range.lt, lte=test.range.lte)
        return models.FieldCondition(key=test.field, range=bounds)
    return models.FieldCondition(key=test[0], match=models.MatchAny(any=list(test[1])))


def _requests(probe: StoreQuery) -> tuple[list[Signal], list[models.QueryRequest]]:
    """One query for each signal and each identifier; and where there are several, one more for each signal, to score
    what the others found."""
    queries: dict[Signal, tuple[str, Any]] = {}
    if probe.dense is not None:
        queries[Signal.DENSE] = (codec.DENSE, probe.dense.tolist())
    if probe.lexical is not None and probe.lexical.indices:
        queries[Signal.LEXICAL] = (codec.LEXICAL, _sparse(probe.lexical))
    narrowed = codec.where_of(probe.filter)
    where = _filter(narrowed) if narrowed else None
    exact = [(codec.LEXICAL, _sparse(identifier)) for identifier in probe.exact]
    requests = [
        models.QueryRequest(query=query, using=using, filter=where, limit=probe.limit, with_payload=False)
        for using, query in [*queries.values(), *exact]
    ]
    if len(requests) > 1:
        for signal, (using, query) in queries.items():
            others = [*(other for each, other in queries.items() if each is not signal), *exact]
            prefetch = [
                models.Prefetch(query=other, using=name, filter=where, limit=probe.limit) for name, other in others
            ]
            most = probe.limit * len(others)
            requests.append(
                models.QueryRequest(query=query, using=using, prefetch=prefetch, limit=most, with_payload=False)
            )
    return list(queries), requests
