"""VectorStoreService: proto in, one call of the domain, proto out."""

from headworks.retrieval.v1 import vector_store_service_pb2 as pb
from headworks.retrieval.v1 import vector_store_service_pb2_grpc as pb_grpc

from services.retrieval import convert_stores as convert
from services.retrieval.callers import READ, caller, owner
from services.retrieval.vector_stores.service import VectorStores
from services.runtime.interceptors.pipeline import Context

DEFAULT_PAGE, LARGEST_PAGE = 20, 100


class VectorStoreServicer(pb_grpc.VectorStoreServiceServicer):
    """Takes the caller from the call's identity."""

    def __init__(self, stores: VectorStores) -> None:
        self._stores = stores

    async def CreateVectorStore(
        self, request: pb.CreateVectorStoreRequest, context: Context
    ) -> pb.CreateVectorStoreResponse:
        made = await self._stores.create(caller(), request.name, dict(request.metadata))
        return pb.CreateVectorStoreResponse(vector_store=convert.store(made))

    async def GetVectorStore(self, request: pb.GetVectorStoreRequest, context: Context) -> pb.GetVectorStoreResponse:
        found = await self._stores.get(caller(), request.vector_store_id)
        return pb.GetVectorStoreResponse(vector_store=convert.store(found))

    async def ListVectorStores(
        self, request: pb.ListVectorStoresRequest, context: Context
    ) -> pb.ListVectorStoresResponse:
        page = convert.page(request.page_size, DEFAULT_PAGE, LARGEST_PAGE, request.after, request.ascending)
        stores, more = await self._stores.list(caller(), page)
        return pb.ListVectorStoresResponse(vector_stores=map(convert.store, stores), more=more)

    async def UpdateVectorStore(
        self, request: pb.UpdateVectorStoreRequest, context: Context
    ) -> pb.UpdateVectorStoreResponse:
        changed = await self._stores.update(
            caller(),
            request.vector_store_id,
            request.name if request.HasField("name") else None,
            dict(request.metadata) if request.set_metadata else None,
        )
        return pb.UpdateVectorStoreResponse(vector_store=convert.store(changed))

    async def DeleteVectorStore(
        self, request: pb.DeleteVectorStoreRequest, context: Context
    ) -> pb.DeleteVectorStoreResponse:
        await self._stores.delete(caller(), request.vector_store_id)
        return pb.DeleteVectorStoreResponse()

    async def AddVectorStoreFiles(
        self, request: pb.AddVectorStoreFilesRequest, context: Context
    ) -> pb.AddVectorStoreFilesResponse:
        files = [convert.added(one) for one in request.files]
        added = await self._stores.add(caller(), owner(READ), request.vector_store_id, files, request.batch)
        return pb.AddVectorStoreFilesResponse(
            files=map(convert.attached, added.files), batch=convert.batch(added.batch) if added.batch else None
        )

    async def GetVectorStoreFile(
        self, request: pb.GetVectorStoreFileRequest, context: Context
    ) -> pb.GetVectorStoreFileResponse:
        found = await self._stores.get_file(caller(), request.vector_store_id, request.file_id)
        return pb.GetVectorStoreFileResponse(file=convert.attached(found))

    async def ListVectorStoreFiles(
        self, request: pb.ListVectorStoreFilesRequest, context: Context
    ) -> pb.ListVectorStoreFilesResponse:
        page = convert.page(request.page_size, DEFAULT_PAGE, LARGEST_PAGE, request.after, request.ascending)
        status = convert.status(request.status)
        files, more = await self._stores.list_files(caller(), request.vector_store_id, page, status, request.batch_id)
        return pb.ListVectorStoreFilesResponse(files=map(convert.attached, files), more=more)

    async def UpdateVectorStoreFile(
        self, request: pb.UpdateVectorStoreFileRequest, context: Context
    ) -> pb.UpdateVectorStoreFileResponse:
        attributes = convert.attributes(request.attributes)
        changed = await self._stores.update_file(caller(), request.vector_store_id, request.file_id, attributes)
        return pb.UpdateVectorStoreFileResponse(file=convert.attached(changed))

    async def DeleteVectorStoreFile(
        self, request: pb.DeleteVectorStoreFileRequest, context: Context
    ) -> pb.DeleteVectorStoreFileResponse:
        await self._stores.delete_file(caller(), request.vector_store_id, request.file_id)
        return pb.DeleteVectorStoreFileResponse()

    async def GetFileBatch(self, request: pb.GetFileBatchRequest, context: Context) -> pb.GetFileBatchResponse:
        found = await self._stores.get_batch(caller(), request.vector_store_id, request.batch_id)
        return pb.GetFileBatchResponse(batch=convert.batch(found))

    async def CancelFileBatch(self, request: pb.CancelFileBatchRequest, context: Context) -> pb.CancelFileBatchResponse:
        cancelled = await self._stores.cancel_batch(caller(), request.vector_store_id, request.batch_id)
        return pb.CancelFileBatchResponse(batch=convert.batch(cancelled))

    async def SearchVectorStore(
        self, request: pb.SearchVectorStoreRequest, context: Context
    ) -> pb.SearchVectorStoreResponse:
        return convert.search_response(await self._stores.search(caller(), convert.search_request(request)))
