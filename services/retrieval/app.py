"""The composition root: what the service is made of."""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc
from headworks.retrieval.v1 import (
    file_service_pb2,
    file_service_pb2_grpc,
    vector_store_service_pb2,
    vector_store_service_pb2_grpc,
)
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from services.retrieval.catalog import Catalog
from services.retrieval.embedder import Embedder
from services.retrieval.embedders import Embedders
from services.retrieval.file_servicer import FileServicer
from services.retrieval.files.records import FileRecords
from services.retrieval.files.service import FileLimits, Files
from services.retrieval.ingest.batches import Batches
from services.retrieval.ingest.moves import Moves
from services.retrieval.ingest.ocr import installed
from services.retrieval.ingest.readers import Readers
from services.retrieval.ingest.service import Ingestion, IngestLimits
from services.retrieval.ingest.vectors import PassageVectors
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.reranker import NO_RERANKER, Reranker
from services.retrieval.schema.schema import SCHEMA
from services.retrieval.schema.tables import LEASES, MESH
from services.retrieval.search.service import Search
from services.retrieval.servicer import RetrievalServicer
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.base import VectorStore
from services.retrieval.store.engine import VectorEngine
from services.retrieval.store.points import PointStore
from services.retrieval.store.space import Space
from services.retrieval.triton_embedder import TritonEmbedder
from services.retrieval.triton_reranker import TritonReranker
from services.retrieval.vector_store_servicer import VectorStoreServicer
from services.retrieval.vector_stores.records import StoreRecords
from services.retrieval.vector_stores.service import Engines, VectorStores
from services.retrieval.vector_stores.worker import LEASE_SECONDS, FileIngestion
from services.runtime.embedders import EMBEDDERS
from services.runtime.identity import fingerprint
from services.runtime.records.assembly import open_database
from services.runtime.records.database import Database
from services.runtime.records.engine import data_folder
from services.runtime.records.lease import Lease
from services.runtime.records.mesh import claim
from services.runtime.server import App, opening
from services.runtime.settings import prefix
from services.runtime.triton import TritonClient, open_channels

SERVICES = (
    pb.DESCRIPTOR.services_by_name["RetrievalService"],
    file_service_pb2.DESCRIPTOR.services_by_name["FileService"],
    vector_store_service_pb2.DESCRIPTOR.services_by_name["VectorStoreService"],
)


async def wire(settings: RetrievalSettings) -> App:
    """The service on its real engines. Raises StoreLocked where another process has the store's folder."""
    async with opening() as resources:
        triton = TritonClient(*await open_channels(settings.triton_target, settings.tls, resources))
        embedders = [
            TritonEmbedder(triton, settings.embed_seconds, settings.query_embed_seconds, spec)
            for spec in EMBEDDERS.values()
        ]
        languages = frozenset(filter(None, map(str.strip, settings.rerank_languages.split(","))))
        reranker = TritonReranker(triton, settings.rerank_seconds, languages)
        return await assemble(settings, PointStore(open_engine(settings)), embedders, resources, reranker)


async def assemble(
    settings: RetrievalSettings,
    store: VectorStore,
    embedders: Sequence[Embedder],
    resources: AsyncExitStack,
    reranker: Reranker = NO_RERANKER,
) -> App:
    """The service on these engines; `store` and `resources` are closed with it. Raises EmbedderUnknown,
    RecordsUnavailable, AnotherMesh."""
    known = Embedders(embedders, settings.embedder)
    database = await open_database(settings.records, SCHEMA, settings.records_timeout_seconds, resources)
    await _claim(settings, database)
    resources.push_async_callback(store.aclose)
    await store.recover()
    vectors = PassageVectors(
        {name: Batches(each, settings.embed_batch, settings.embed_calls) for name, each in known.items()}
    )
    resources.push_async_callback(vectors.aclose)
    readers = Readers(
        settings.read_workers,
        settings.read_seconds,
        settings.read_memory_bytes,
        ocr=await asyncio.to_thread(installed, settings.ocr, settings.ocr_seconds),
    )
    resources.push_async_callback(readers.aclose)
    limits = IngestLimits(
        document_bytes=settings.max_document_bytes,
        bytes_in_flight=settings.max_bytes_in_flight,
        documents_in_flight=settings.max_documents_in_flight,
        ingests=settings.max_ingests,
    )
    writer = CollectionWriter(store, vectors, readers)
    moves = Moves(store, vectors, known)
    resources.push_async_callback(moves.aclose)
    moves.resume()
    ingestion, search = Ingestion(store, writer, limits, known.default), Search(store, known, reranker)
    file_records, store_records = FileRecords(database), StoreRecords(database)
    # Of processes that own the edge store there is one: the last one's lease is this one's.
    holder = settings.store if settings.store == "edge" else uuid.uuid4().hex
    lease = Lease(database, "file ingestion", holder, LEASE_SECONDS, table=LEASES)
    background = FileIngestion(store_records, file_records, ingestion, writer, lease)
    resources.push_async_callback(background.aclose)
    await background.open()
    engines = Engines(store, writer, search, known.default)
    stores = VectorStores(engines, store_records, file_records, background.wake)
    folder = data_folder(settings.records)
    room = Space(folder, settings.min_free_bytes).check if folder else lambda size: None
    files = Files(file_records, FileLimits(settings.max_document_bytes, settings.max_files_bytes), room)
    servicer = RetrievalServicer(Catalog(store, writer, known, moves), ingestion, search, stores.delete)

    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_RetrievalServiceServicer_to_server(servicer, server)
        file_service_pb2_grpc.add_FileServiceServicer_to_server(FileServicer(files), server)
        vector_store_service_pb2_grpc.add_VectorStoreServiceServicer_to_server(VectorStoreServicer(stores), server)

    return App(
        add=add,
        names=[service.full_name for service in SERVICES],
        checks={"store": store.ready},
        optional={"triton": known[known.default].ready},
        resources=resources,
        callers={"/": ("gateway", "orchestrator")},
        data={
            **({"collections": settings.data_dir} if settings.store == "edge" else {}),
            **({"records": folder} if folder else {}),
        },
    )


async def _claim(settings: RetrievalSettings, database: Database) -> None:
    if settings.identity_public_key is None:
        return
    key = fingerprint(settings.identity_public_key.read_bytes())
    await claim(database, MESH, key, settings.identity_former_keys, prefix("retrieval"), "identity_former_keys")


def open_engine(settings: RetrievalSettings) -> VectorEngine:
    """The engine that the settings name; its library is loaded only then."""
    if settings.store == "qdrant":
        from services.retrieval.store.qdrant_server import ServerEngine

        return ServerEngine.connect(settings.qdrant_url, settings.qdrant_api_key)
    if settings.store == "pgvector":
        from services.retrieval.store.pgvector.engine import PgvectorEngine

        return PgvectorEngine(settings.points)
    from services.retrieval.store.qdrant_edge import EdgeEngine

    return EdgeEngine(
        settings.data_dir,
        settings.store_threads,
        min_free=settings.min_free_bytes,
        most_open=settings.max_open_collections,
        idle_seconds=settings.collection_idle_seconds,
    )
