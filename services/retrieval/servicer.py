"""RetrievalService: proto in, one call of the domain, proto out."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from services.retrieval import convert
from services.retrieval.callers import caller
from services.retrieval.catalog import Catalog
from services.retrieval.ingest.messages import Message
from services.retrieval.ingest.service import Ingestion
from services.retrieval.model import Caller
from services.retrieval.search.service import Search
from services.runtime.interceptors.pipeline import Context

Drop = Callable[[Caller, str], Awaitable[None]]


class RetrievalServicer(pb_grpc.RetrievalServiceServicer):
    """Takes the caller from the call's identity. `drop` deletes a collection with all that is kept of it."""

    def __init__(self, catalog: Catalog, ingestion: Ingestion, search: Search, drop: Drop) -> None:
        self._catalog = catalog
        self._ingestion = ingestion
        self._search = search
        self._drop = drop

    async def Ingest(
        self, request_iterator: AsyncIterator[pb.IngestRequest], context: Context
    ) -> AsyncIterator[pb.IngestResponse]:
        async with aclosing(self._ingestion.run(caller(), _messages(request_iterator))) as events:
            async for event in events:
                yield convert.ingest_event(event)

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        return convert.search_response(await self._search.search(caller(), convert.search_request(request)))

    async def GetDocument(self, request: pb.GetDocumentRequest, context: Context) -> pb.GetDocumentResponse:
        document, passages = await self._catalog.get_document(
            caller(), request.collection, request.document_id, request.include_passages
        )
        return pb.GetDocumentResponse(
            document=convert.document(document), passages=[convert.passage(passage) for passage in passages]
        )

    async def DeleteDocument(self, request: pb.DeleteDocumentRequest, context: Context) -> pb.DeleteDocumentResponse:
        await self._catalog.delete_document(caller(), request.collection, request.document_id)
        return pb.DeleteDocumentResponse()

    async def ListDocuments(self, request: pb.ListDocumentsRequest, context: Context) -> pb.ListDocumentsResponse:
        page = await self._catalog.list_documents(caller(), request.collection, request.page_size, request.page_token)
        return pb.ListDocumentsResponse(
            documents=[convert.document(document) for document in page.items], next_page_token=page.next_token
        )

    async def CreateCollection(
        self, request: pb.CreateCollectionRequest, context: Context
    ) -> pb.CreateCollectionResponse:
        created = await self._catalog.create(
            caller(), request.name, request.passage_settings.max_chars, request.embedder
        )
        return pb.CreateCollectionResponse(collection=convert.collection(created))

    async def ListCollections(self, request: pb.ListCollectionsRequest, context: Context) -> pb.ListCollectionsResponse:
        page = await self._catalog.list_collections(caller(), request.page_size, request.page_token, request.names)
        return pb.ListCollectionsResponse(
            collections=[convert.collection(found) for found in page.items], next_page_token=page.next_token
        )

    async def ReembedCollection(
        self, request: pb.ReembedCollectionRequest, context: Context
    ) -> pb.ReembedCollectionResponse:
        moved = await self._catalog.reembed(caller(), request.name, request.embedder)
        return pb.ReembedCollectionResponse(collection=convert.collection(moved))

    async def DeleteCollection(
        self, request: pb.DeleteCollectionRequest, context: Context
    ) -> pb.DeleteCollectionResponse:
        await self._drop(caller(), request.name)
        return pb.DeleteCollectionResponse()


async def _messages(requests: AsyncIterator[pb.IngestRequest]) -> AsyncIterator[Message]:
    async for request in requests:
        yield convert.ingest_message(request)
