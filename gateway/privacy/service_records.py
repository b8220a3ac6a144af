"""What the services behind the gateway hold of a data subject: runs, sessions, agents and prompts, and documents."""

import asyncio
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from headworks.orchestrator.v1 import data_service_pb2 as data_pb
from headworks.orchestrator.v1 import data_service_pb2_grpc as data_pb_grpc
from headworks.retrieval.v1 import document_pb2, file_pb2, file_service_pb2_grpc
from headworks.retrieval.v1 import file_service_pb2 as file_pb
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc as retrieval_pb_grpc

from gateway.privacy.model import Counts, DataSubject
from services.runtime import clients, statuses
from services.runtime.call import Call, Outgoing, new_request_id, outgoing
from services.runtime.identity import Identity, TokenSigner

SUBJECT = "headworks/privacy"
SCOPES = frozenset({
    "admin.data:write", "collections.read:*", "collections.write:*", "collections.delete:*", "documents.others:read",
    "runs.others:write", "files.read:*", "files.write:*", "files.others:*",
})  # fmt: skip
PART_SECONDS = 60.0
ATTEMPTS = 5
PAUSE_SECONDS = 0.5
RUN_KINDS = ("runs", "sessions", "messages", "agents", "prompts")
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_EXPIRING = {"runs": data_pb.DATA_KIND_RUNS, "sessions": data_pb.DATA_KIND_SESSIONS}
CALL_SECONDS = 30.0
PAGE_SIZE = 500
LABEL = "subject"


class OwnCalls:
    """The gateway as a caller of the services behind it, for a tenant rather than for one of its callers."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer

    def options(self, tenant: str, seconds: float) -> Outgoing:
        """The keyword arguments of a stub's call that may take so long."""
        identity = Identity(tenant, SUBJECT, SCOPES)
        call = Call(
            "privacy", request_id=new_request_id(), identity=identity, token=self._signer.token(identity),
            deadline=time.monotonic() + seconds,
        )  # fmt: skip
        return outgoing(seconds, call)


class RunData:
    """Runs, sessions, agents and prompts in the orchestrator. An erasure that breaks off, or takes longer than a call
    may, is requested again, ATTEMPTS times without progress at most."""

    name = "orchestrator"

    def __init__(self, channel: grpc.aio.Channel, calls: OwnCalls) -> None:
        self._stub = data_pb_grpc.DataServiceStub(channel)
        self._calls = calls

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        request = data_pb.ExportDataRequest(subject=whose.subject)
        call = self._stub.ExportData(request, **self._calls.options(whose.tenant, PART_SECONDS))
        try:
            async with aclosing(clients.stream(call)) as items:
                async for item in items:
                    kind = str(item.WhichOneof("item"))
                    yield {"kind": kind, **MessageToDict(getattr(item, kind), preserving_proto_field_name=True)}
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
        async with aclosing(self._erase(whose.tenant, data_pb.EraseDataRequest(subject=whose.subject))) as parts:
            async for counts in parts:
                yield counts

    async def expire(self, tenant: str, kind: str, before: float) -> int:
        """See ExpiringSource."""
        if kind not in _EXPIRING:
            return 0
        moment = Timestamp()
        moment.FromNanoseconds(int(before * 1e9))
        erased = 0
        async with aclosing(
            self._erase(tenant, data_pb.EraseDataRequest(before=moment, kinds=[_EXPIRING[kind]]))
        ) as parts:
            async for counts in parts:
                erased = counts[kind]
        return erased

    async def _erase(self, tenant: str, request: data_pb.EraseDataRequest) -> AsyncGenerator[Counts, None]:
        total: Counter[str] = Counter(dict.fromkeys(RUN_KINDS, 0))
        attempt = 0
        while True:
            response = data_pb.EraseDataResponse()
            try:
                call = self._stub.EraseData(request, **self._calls.options(tenant, PART_SECONDS))
                async with aclosing(clients.stream(call)) as parts:
                    async for response in parts:
                        yield total + _counts(response) if any(_counts(response).values()) else total
                return
            except grpc.aio.AioRpcError as error:
                progress = _counts(response)
                total.update(progress)
                attempt = 0 if any(progress.values()) else attempt + 1
                if error.code() not in _AGAIN or attempt >= ATTEMPTS:
                    raise statuses.from_rpc_error(error) from error
            await asyncio.sleep(PAUSE_SECONDS)


def _counts(response: data_pb.EraseDataResponse) -> Counter[str]:
    return Counter({kind: getattr(response, kind) for kind in RUN_KINDS})


class DocumentData:
    """Documents in retrieval, which are the tenant's; a person's are those that carry the label `subject`."""

    name = "retrieval"

    def __init__(self, channel: grpc.aio.Channel, calls: OwnCalls) -> None:
        self._stub = retrieval_pb_grpc.RetrievalServiceStub(channel)
        self._calls = calls

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        try:
            async for collection in self._collections(whose.tenant):
                async for document in self._documents(whose, collection):
                    request = retrieval_pb.GetDocumentRequest(
                        collection=collection, document_id=document.id, include_passages=True
                    )
                    response = await clients.unary(self._stub.GetDocument(request, **self._options(whose)))
                    fields = MessageToDict(response, preserving_proto_field_name=True)
                    yield {"kind": "document", "collection": collection, **fields}
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
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

    async def _delete(self, whose: DataSubject, collection: str, document_id: str) -> int:
        request = retrieval_pb.DeleteDocumentRequest(collection=collection, document_id=document_id)
        return await _gone(self._stub.DeleteDocument(request, **self._options(whose)))

    async def _drop(self, whose: DataSubject, collection: str) -> int:
        request = retrieval_pb.DeleteCollectionRequest(name=collection)
        return await _gone(self._stub.DeleteCollection(request, **self._options(whose)))

    async def _collections(self, tenant: str) -> AsyncIterator[str]:
        token = ""
        while True:
            request = retrieval_pb.ListCollectionsRequest(page_size=PAGE_SIZE, page_token=token)
            page = await clients.unary(self._stub.ListCollections(request, **self._options(DataSubject(tenant))))
            for collection in page.collections:
                yield collection.name
            token = page.next_page_token
            if not token:
                return

    async def _documents(self, whose: DataSubject, collection: str) -> AsyncIterator[document_pb2.Document]:
        token = ""
        while True:
            request = retrieval_pb.ListDocumentsRequest(collection=collection, page_size=PAGE_SIZE, page_token=token)
            page = await clients.unary(self._stub.ListDocuments(request, **self._options(whose)))
            for document in page.documents:
                if not whose.subject or document.metadata.get(LABEL) == whose.subject:
                    yield document
            token = page.next_page_token
            if not token:
                return

    def _options(self, whose: DataSubject) -> Outgoing:
        return self._calls.options(whose.tenant, CALL_SECONDS)


class FileData:
    """Uploaded files in retrieval: a person's are those that the person uploaded."""

    name = "files"

    def __init__(self, channel: grpc.aio.Channel, calls: OwnCalls) -> None:
        self._stub = file_service_pb2_grpc.FileServiceStub(channel)
        self._calls = calls

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        """Each file's record, and then its bytes in parts, in base64."""
        try:
            async for file in self._files(whose):
                yield {"kind": "file", **MessageToDict(file, preserving_proto_field_name=True)}
                reading = self._stub.ReadFile(file_pb.ReadFileRequest(file_id=file.id), **self._options(whose))
                async with aclosing(clients.stream(reading)) as parts:
                    async for part in parts:
                        yield {"kind": "file_part", "file": file.id, "data": b64encode(part.chunk).decode()}
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
        erased = 0
        try:
            while files := (await self._page(whose, "")).files:
                for file in files:
                    request = file_pb.DeleteFileRequest(file_id=file.id)
                    erased += await _gone(self._stub.DeleteFile(request, **self._options(whose)))
                yield {"files": erased}
        except grpc.aio.AioRpcError as error:
            raise statuses.from_rpc_error(error) from error
        yield {"files": erased}

    async def _files(self, whose: DataSubject) -> AsyncIterator[file_pb2.File]:
        page = await self._page(whose, "")
        while page.files:
            for file in page.files:
                yield file
            if not page.more:
                return
            page = await self._page(whose, page.files[-1].id)

    async def _page(self, whose: DataSubject, after: str) -> file_pb.ListFilesResponse:
        request = file_pb.ListFilesRequest(page_size=PAGE_SIZE, after=after, ascending=True, subject=whose.subject)
        return await clients.unary(self._stub.ListFiles(request, **self._options(whose)))

    def _options(self, whose: DataSubject) -> Outgoing:
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
