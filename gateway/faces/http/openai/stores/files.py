"""/v1/files: uploads and what became of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import grpc
from headworks.retrieval.v1 import file_pb2, file_service_pb2_grpc
from headworks.retrieval.v1 import file_service_pb2 as pb

from gateway.faces.http.forms import FormEvent, FormField, read_form
from gateway.faces.http.message import Body, Request, as_json
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.stores.pages import listed, wanted
from gateway.faces.http.routes import Route, plain_route
from services.llm.openai.chunks import Json
from services.runtime import clients
from services.runtime.call import Call, outgoing

MOST_LISTED = 10_000
MOST_CHUNK = 1 << 20
LONGEST_PURPOSE = 64
RETRIEVAL = "retrieval"


class FilesFace:
    """Translates; retrieval keeps the files."""

    def __init__(self, retrieval: grpc.aio.Channel) -> None:
        self._files = file_service_pb2_grpc.FileServiceStub(retrieval)

    def routes(self) -> Iterable[Route]:
        return (
            plain_route("POST", "/v1/files", self.create, uploads=True),
            plain_route("GET", "/v1/files", self.list),
            plain_route("GET", "/v1/files/{file_id}", self.get),
            plain_route("GET", "/v1/files/{file_id}/content", self.content),
            plain_route("DELETE", "/v1/files/{file_id}", self.delete),
        )

    async def create(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        async with aclosing(read_form(request.content_type, request.stream)) as form, aclosing(_upload(form)) as upload:
            created = await self._send(upload, call)
        yield as_json(file_json(created.file))

    async def _send(self, messages: AsyncIterator[pb.CreateFileRequest], call: Call) -> pb.CreateFileResponse:
        """The answer to a stream of requests. A request that cannot be made cancels the call in gRPC's core: a stream
        that merely ended would be a file."""
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def requests() -> AsyncIterator[pb.CreateFileRequest]:
            try:
                async for message in messages:
                    yield message
            except Exception as error:  # noqa: BLE001 (it is raised below)
                broken.set_exception(error)
                await asyncio.Event().wait()

        created = self._files.CreateFile(requests(), **outgoing(call.remaining, call))
        answer = asyncio.ensure_future(clients.unary(created, RETRIEVAL))
        try:
            both: list[asyncio.Future[Any]] = [answer, broken]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if broken.done():
                broken.result()
            return await answer
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            broken.cancel()

    async def list(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        page = wanted(request, MOST_LISTED, MOST_LISTED, ("purpose",))
        found = await clients.unary(
            self._files.ListFiles(
                pb.ListFilesRequest(
                    page_size=page.limit,
                    after=page.after,
                    ascending=page.ascending,
                    purpose=page.others.get("purpose", ""),
                ),
                **outgoing(call.remaining, call),
            )
        )
        yield listed([file_json(file) for file in found.files], found.more)

    async def get(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = pb.GetFileRequest(file_id=request.params["file_id"])
        found = await clients.unary(self._files.GetFile(asked, **outgoing(call.remaining, call)))
        yield as_json(file_json(found.file))

    async def content(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        asked = pb.ReadFileRequest(file_id=request.params["file_id"])
        parts = clients.stream(self._files.ReadFile(asked, **outgoing(call.remaining, call)))
        async with aclosing(parts):
            async for part in parts:
                yield Body("application/octet-stream", part.chunk)

    async def delete(self, request: Request, call: Call) -> AsyncGenerator[Body, None]:
        file_id = request.params["file_id"]
        deletion = pb.DeleteFileRequest(file_id=file_id)
        await clients.unary(self._files.DeleteFile(deletion, **outgoing(call.remaining, call)))
        yield as_json({"id": file_id, "object": "file", "deleted": True})


def file_json(file: file_pb2.File) -> Json:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.create_time.seconds,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "expires_at": None,
        "status_details": None,
    }


async def _upload(form: AsyncIterator[FormEvent]) -> AsyncGenerator[pb.CreateFileRequest, None]:
    """The form as an upload, whichever field is first. Raises BadRequest, InvalidArgument."""
    field, purpose, files = FormField(""), bytearray(), 0
    async for event in form:
        if isinstance(event, FormField):
            field = event
            files += field.name == "file"
            _check(field, files)
            if field.name == "file":
                yield pb.CreateFileRequest(head=pb.FileHead(filename=field.filename or ""))
        elif field.name == "file":
            for start in range(0, len(event), MOST_CHUNK):
                yield pb.CreateFileRequest(chunk=event[start : start + MOST_CHUNK])
        else:
            purpose += event
            if len(purpose) > LONGEST_PURPOSE:
                raise BadRequest("purpose is not one that there is", "purpose")
    if not files:
        raise BadRequest("the form has no field file", "file")
    yield pb.CreateFileRequest(purpose=purpose.decode("utf-8", "replace"))


def _check(field: FormField, files: int) -> None:
    """Raises BadRequest for a field that is not to be there; `files` are those so far."""
    if field.name not in ("file", "purpose"):
        raise BadRequest(f"{field.name} is not supported here", field.name)
    if files > 1:
        raise BadRequest("one file is uploaded at a time", "file")
    if field.name == "file" and field.filename is None:
        raise BadRequest("file must be a file, with a filename", "file")
