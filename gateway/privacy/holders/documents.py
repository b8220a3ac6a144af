"""Documents, which retrieval keeps. They are the tenant's; a person's are those that carry the label `subject`."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from headworks.retrieval.v1 import document_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as pb_grpc

from gateway.privacy.caller import OwnCalls
from gateway.privacy.holders.holder import Counts, Whose
from services.runtime import clients, statuses
from services.runtime.call import Outgoing

CALL_SECONDS = 30.0
PAGE = 500
LABEL = "subject"


class DocumentData:
    name = "retrieval"

    def __init__(self, channel: grpc.aio.Channel, calls: OwnCalls) -> None:
        self._stub = pb_grpc.RetrievalServiceStub(channel)
        self._calls = calls

    async def export(self, whose: Whose) -> AsyncGenerator[dict[str, object], None]:
        try:
            async for collection in self._collections(whose.tenant):
                async for document in self._documents(whose, collection):
                    asked = pb.GetDocumentRequest(collection=collection, document_id=document.id, include_passages=True)
                    found = await clients.unary(self._stub.GetDocument(asked, **self._options(whose)))
                    told = MessageToDict(found, preserving_proto_field_name=True)
                    yield {"kind": "document", "collection": collection, **told}
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error

    async def erase(self, whose: Whose) -> AsyncGenerator[Counts, None]:
        erased = 0
        try:
            async for collection in self._collections(whose.tenant):
                if whose.subject:
                    async for document in self._documents(whose, collection):
                        erased += await self._delete(whose, collection, document.id)
                        yield {"documents": erased}
                else:
                    erased += await self._drop(whose, collection)
                    yield {"collections": erased}
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        yield {"documents" if whose.subject else "collections": erased}

    async def _delete(self, whose: Whose, collection: str, document_id: str) -> int:
        request = pb.DeleteDocumentRequest(collection=collection, document_id=document_id)
        return await _gone(self._stub.DeleteDocument(request, **self._options(whose)))

    async def _drop(self, whose: Whose, collection: str) -> int:
        request = pb.DeleteCollectionRequest(name=collection)
        return await _gone(self._stub.DeleteCollection(request, **self._options(whose)))

    async def _collections(self, tenant: str) -> AsyncIterator[str]:
        token = ""
        while True:
            request = pb.ListCollectionsRequest(page_size=PAGE, page_token=token)
            page = await clients.unary(self._stub.ListCollections(request, **self._options(Whose(tenant))))
            for collection in page.collections:
                yield collection.name
            token = page.next_page_token
            if not token:
                return

    async def _documents(self, whose: Whose, collection: str) -> AsyncIterator[document_pb2.Document]:
        token = ""
        while True:
            request = pb.ListDocumentsRequest(collection=collection, page_size=PAGE, page_token=token)
            page = await clients.unary(self._stub.ListDocuments(request, **self._options(whose)))
            for document in page.documents:
                if not whose.subject or document.metadata.get(LABEL) == whose.subject:
                    yield document
            token = page.next_page_token
            if not token:
                return

    def _options(self, whose: Whose) -> Outgoing:
        return self._calls.options(whose.tenant, CALL_SECONDS)


async def _gone(deleting: "grpc.aio.UnaryUnaryCall[Any, Any]") -> int:
    """1 for what was there, 0 for what somebody else has deleted meanwhile."""
    try:
        await clients.unary(deleting)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return 0
    return 1
