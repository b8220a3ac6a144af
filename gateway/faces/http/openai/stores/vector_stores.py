"""/v1/vector_stores: collections with files that are ingested in the background, and searches of them."""

from collections.abc import AsyncGenerator, Iterable
from typing import Any

import grpc
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_pb
from headworks.retrieval.v1 import retrieval_service_pb2_grpc, vector_store_service_pb2_grpc
from headworks.retrieval.v1 import vector_store_service_pb2 as pb

from gateway.access.authorize import require
from gateway.faces.http.message import Body, Request, as_json
from gateway.faces.http.openai import fields
from gateway.faces.http.openai.stores import store_json as write
from gateway.faces.http.openai.stores import store_request as read
from gateway.faces.http.openai.stores.pages import listed, wanted
from gateway.faces.http.routes import Route, plain_route
from services.runtime import clients
from services.runtime.call import Call, outgoing

DEFAULT_LISTED, MOST_LISTED = 20, 100
STORES = "/v1/vector_stores"
STORE = f"{STORES}/{{store}}"
FILE = f"{STORE}/files/{{file_id}}"
BATCH = f"{STORE}/file_batches/{{batch}}"


class VectorStoresFace:
    """Translates; retrieval keeps the stores, and ingests."""

    def __init__(self, retrieval: grpc.aio.Channel) -> None:
        self._stores = vector_store_service_pb2_grpc.VectorStoreServiceStub(retrieval)
        self._documents = retrieval_service_pb2_grpc.RetrievalServiceStub(retrieval)

    def routes(self) -> Iterable[Route]:
        return (
            plain_route("POST", STORES, self.create),
            plain_route("GET", STORES, self.list),
            plain_route("GET", STORE, self.get),
            plain_route("POST", STORE, self.update),
            plain_route("DELETE", STORE, self.delete),
            plain_route("POST", f"{STORE}/search", self.search),
            plain_route("POST", f"{STORE}/files", self.add_file),
            plain_route("GET", f"{STORE}/files", self.list_files),
            plain_route("GET", FILE, self.get_file),
            plain_route("POST", FILE, self.update_file),
            plain_route("DELETE", FILE, self.delete_file),
            plain_route("GET", f"{FILE}/content", self.content),
            plain_route("POST", f"{STORE}/file_batches", self.add_batch),
            plain_route("GET", BATCH, self.get_batch),
            plain_route("POST", f"{BATCH}/cancel", self.cancel_batch),
            plain_route("GET", f"{BATCH}/files", self.list_files),
        )

    async def create(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        creation, file_ids = read.creation(fields.parse(request.body))
        _may_read(call, file_ids)
        made = (await _of(self._stores.CreateVectorStore, creation, call)).vector_store
        if file_ids:
            files = [pb.AddedFile(file_id=file_id) for file_id in file_ids]
            try:
                await self._add(made.id, files, call, batch=False)
            except grpc.aio.AioRpcError:
                deletion = pb.DeleteVectorStoreRequest(vector_store_id=made.id)
                await _of(self._stores.DeleteVectorStore, deletion, call)
                raise
            made = (await self._get(made.id, call)).vector_store
        yield as_json(write.store(made))

    async def list(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        page = wanted(request, DEFAULT_LISTED, MOST_LISTED)
        asked = pb.ListVectorStoresRequest(page_size=page.limit, after=page.after, ascending=page.ascending)
        found = await _of(self._stores.ListVectorStores, asked, call)
        yield listed([write.store(one) for one in found.vector_stores], found.more)

    async def get(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        yield as_json(write.store((await self._get(request.params["store"], call)).vector_store))

    async def update(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        change = read.change(request.params["store"], fields.parse(request.body))
        changed = await _of(self._stores.UpdateVectorStore, change, call)
        yield as_json(write.store(changed.vector_store))

    async def delete(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        store = request.params["store"]
        await _of(self._stores.DeleteVectorStore, pb.DeleteVectorStoreRequest(vector_store_id=store), call)
        yield as_json({"id": store, "object": "vector_store.deleted", "deleted": True})

    async def search(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        search = read.search(request.params["store"], fields.parse(request.body))
        found = await _of(self._stores.SearchVectorStore, search.request, call)
        hits = [write.hit(one) for one in found.hits if one.hit.score >= search.least_score]
        if found.degraded:
            call.headers["x-headworks-degraded"] = "true"
        yield as_json(
            {
                "object": "vector_store.search_results.page",
                "search_query": [search.request.query],
                "data": hits,
                "has_more": False,
                "next_page": None,
            }
        )

    async def add_file(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        body = fields.parse(request.body)
        fields.known(body, read.FILE_FIELDS, "")
        file = read.added_file(body, "")
        _may_read(call, [file.file_id])
        added = await self._add(request.params["store"], [file], call, batch=False)
        yield as_json(write.file(added.files[0]))

    async def list_files(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        page = wanted(request, DEFAULT_LISTED, MOST_LISTED, ("filter",))
        asked = pb.ListVectorStoreFilesRequest(
            vector_store_id=request.params["store"],
            page_size=page.limit,
            after=page.after,
            ascending=page.ascending,
            status=read.status(page.others.get("filter", "")),
            batch_id=request.params.get("batch", ""),
        )
        found = await _of(self._stores.ListVectorStoreFiles, asked, call)
        yield listed([write.file(one) for one in found.files], found.more)

    async def get_file(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = pb.GetVectorStoreFileRequest(**_file(request))
        yield as_json(write.file((await _of(self._stores.GetVectorStoreFile, asked, call)).file))

    async def update_file(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        body = fields.parse(request.body)
        fields.known(body, ("attributes",), "")
        change = pb.UpdateVectorStoreFileRequest(**_file(request), attributes=read.attributes(body, ""))
        yield as_json(write.file((await _of(self._stores.UpdateVectorStoreFile, change, call)).file))

    async def delete_file(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        await _of(self._stores.DeleteVectorStoreFile, pb.DeleteVectorStoreFileRequest(**_file(request)), call)
        yield as_json({"id": request.params["file_id"], "object": "vector_store.file.deleted", "deleted": True})

    async def content(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        """The text of the file as it is searched, passage by passage."""
        asked = retrieval_pb.GetDocumentRequest(
            collection=request.params["store"], document_id=request.params["file_id"], include_passages=True
        )
        found = await _of(self._documents.GetDocument, asked, call)
        texts = [{"type": "text", "text": passage.text} for passage in found.passages]
        page = {"object": "vector_store.file_content.page", "data": texts, "has_more": False, "next_page": None}
        yield as_json(page)

    async def add_batch(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        files = read.batch(fields.parse(request.body))
        _may_read(call, [file.file_id for file in files])
        added = await self._add(request.params["store"], files, call, batch=True)
        yield as_json(write.batch(added.batch))

    async def get_batch(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = pb.GetFileBatchRequest(vector_store_id=request.params["store"], batch_id=request.params["batch"])
        yield as_json(write.batch((await _of(self._stores.GetFileBatch, asked, call)).batch))

    async def cancel_batch(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = pb.CancelFileBatchRequest(vector_store_id=request.params["store"], batch_id=request.params["batch"])
        yield as_json(write.batch((await _of(self._stores.CancelFileBatch, asked, call)).batch))

    async def _get(self, store: str, call: Call) -> pb.GetVectorStoreResponse:
        response: pb.GetVectorStoreResponse = await _of(
            self._stores.GetVectorStore, pb.GetVectorStoreRequest(vector_store_id=store), call
        )
        return response

    async def _add(
        self, store: str, files: Iterable[pb.AddedFile], call: Call, *, batch: bool
    ) -> pb.AddVectorStoreFilesResponse:
        asked = pb.AddVectorStoreFilesRequest(vector_store_id=store, files=files, batch=batch)
        response: pb.AddVectorStoreFilesResponse = await _of(self._stores.AddVectorStoreFiles, asked, call)
        return response


async def _of(method: Any, request: Any, call: Call) -> Any:
    """The response to one request, under the identity and within the deadline of the call."""
    return await clients.unary(method(request, **outgoing(call.remaining, call)))


def _file(request: Request) -> dict[str, str]:
    return {"vector_store_id": request.params["store"], "file_id": request.params["file_id"]}


def _may_read(call: Call, file_ids: Iterable[str]) -> None:
    """Raises PermissionDenied where the caller may not read one of the files."""
    require(call, *(f"files.read:{file_id}" for file_id in file_ids))
