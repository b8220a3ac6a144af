"""The composition root: what the service is made of."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from services.retrieval.catalog import Catalog
from services.retrieval.embedder import Embedder
from services.retrieval.embedders import Embedders
from services.retrieval.ingest.batches import Batches
from services.retrieval.ingest.moves import Moves
from services.retrieval.ingest.readers import Readers
from services.retrieval.ingest.service import Ingestion, IngestLimits
from services.retrieval.ingest.vectors import PassageVectors
from services.retrieval.ingest.writer import CollectionWriter
from services.retrieval.search.service import Search
from services.retrieval.servicer import RetrievalServicer
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store.base import VectorStore
from services.retrieval.store.engine import VectorEngine
from services.retrieval.store.points import PointStore
from services.retrieval.triton_embedder import TritonEmbedder
from services.runtime.embedders import EMBEDDERS
from services.runtime.server import App, opening
from services.runtime.triton import TritonClient, open_channels


async def wire(settings: RetrievalSettings) -> App:
    """The service on its real engines. Raises StoreLocked where another process has the store's folder."""
    async with opening() as resources:
        triton = TritonClient(*await open_channels(settings.triton_target, settings.tls, resources))
        embedders = [
            TritonEmbedder(triton, settings.embed_seconds, settings.query_embed_seconds, spec)
            for spec in EMBEDDERS.values()
        ]
        return await assemble(settings, PointStore(open_engine(settings)), embedders, resources)


async def assemble(
    settings: RetrievalSettings, store: VectorStore, embedders: Sequence[Embedder], resources: AsyncExitStack
) -> App:
    """The service on these engines; `store` and `resources` are closed with it. Raises EmbedderUnknown."""
    known = Embedders(embedders, settings.embedder)
    resources.push_async_callback(store.aclose)
    await store.recover()
    vectors = PassageVectors(
        {name: Batches(each, settings.embed_batch, settings.embed_calls) for name, each in known.items()}
    )
    resources.push_async_callback(vectors.aclose)
    readers = Readers(settings.read_workers, settings.read_seconds, settings.read_memory_bytes)
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
    ingestion = Ingestion(store, writer, limits, known.default)
    servicer = RetrievalServicer(Catalog(store, writer, known, moves), ingestion, Search(store, known))

    def add(server: grpc.aio.Server) -> None:
        pb_grpc.add_RetrievalServiceServicer_to_server(servicer, server)

    return App(
        add=add,
        names=[pb.DESCRIPTOR.services_by_name["RetrievalService"].full_name],
        checks={"store": store.ready},
        optional={"triton": known[known.default].ready},
        resources=resources,
        callers={"/": ("gateway", "orchestrator")},
        data={"collections": settings.data_dir} if settings.store == "edge" else {},
    )


def open_engine(settings: RetrievalSettings) -> VectorEngine:
    """The engine that the settings name; its library is loaded only then."""
    if settings.store == "qdrant":
        from services.retrieval.store.qdrant_server import ServerEngine

        return ServerEngine.connect(settings.qdrant_url, settings.qdrant_api_key)
    from services.retrieval.store.qdrant_edge import EdgeEngine

    return EdgeEngine(
        settings.data_dir,
        settings.store_threads,
        min_free=settings.min_free_bytes,
        most_open=settings.max_open_collections,
        idle_seconds=settings.collection_idle_seconds,
    )
