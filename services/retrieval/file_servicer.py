"""FileService: proto in, one call of the domain, proto out."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from headworks.retrieval.v1 import file_service_pb2 as pb
from headworks.retrieval.v1 import file_service_pb2_grpc as pb_grpc

from services.retrieval import convert_stores as convert
from services.retrieval.callers import READ, WRITE, owner
from services.retrieval.files.model import UploadMessage
from services.retrieval.files.service import Files
from services.runtime.interceptors.pipeline import Context

DEFAULT_PAGE, LARGEST_PAGE = 100, 10_000


class FileServicer(pb_grpc.FileServiceServicer):
    """Takes the owner from the call's identity."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def CreateFile(
        self, request_iterator: AsyncIterator[pb.CreateFileRequest], context: Context
    ) -> pb.CreateFileResponse:
        return pb.CreateFileResponse(
            file=convert.file(await self._files.upload(owner(WRITE), _messages(request_iterator)))
        )

    async def GetFile(self, request: pb.GetFileRequest, context: Context) -> pb.GetFileResponse:
        return pb.GetFileResponse(file=convert.file(await self._files.get(owner(READ), request.file_id)))

    async def ListFiles(self, request: pb.ListFilesRequest, context: Context) -> pb.ListFilesResponse:
        page = convert.page(request.page_size, DEFAULT_PAGE, LARGEST_PAGE, request.after, request.ascending)
        files, more = await self._files.list(owner(READ), page, request.purpose, request.subject)
        return pb.ListFilesResponse(files=map(convert.file, files), more=more)

    async def ReadFile(self, request: pb.ReadFileRequest, context: Context) -> AsyncIterator[pb.ReadFileResponse]:
        async with aclosing(self._files.read(owner(READ), request.file_id)) as parts:
            async for part in parts:
                yield pb.ReadFileResponse(chunk=part)

    async def DeleteFile(self, request: pb.DeleteFileRequest, context: Context) -> pb.DeleteFileResponse:
        await self._files.delete(owner(WRITE), request.file_id)
        return pb.DeleteFileResponse()


async def _messages(requests: AsyncIterator[pb.CreateFileRequest]) -> AsyncIterator[UploadMessage]:
    async for request in requests:
        yield convert.upload_message(request)
