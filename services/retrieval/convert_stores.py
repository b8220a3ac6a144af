"""Protobuf messages of files and vector stores to the domain's words and back. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite

from google.protobuf.timestamp_pb2 import Timestamp
from headworks.retrieval.v1 import file_pb2, vector_store_pb2
from headworks.retrieval.v1 import file_service_pb2 as file_service
from headworks.retrieval.v1 import retrieval_service_pb2 as retrieval_service
from headworks.retrieval.v1 import vector_store_service_pb2 as pb

from services.retrieval import convert
from services.retrieval.files.model import PageOf, StoredFile, UploadChunk, UploadHead, UploadMessage, UploadPurpose
from services.retrieval.model import SearchRequest
from services.retrieval.vector_stores.model import (
    AddedFile,
    AttachedFile,
    Attribute,
    FileBatch,
    FileCounts,
    FileStatus,
    StoreHits,
    StoreOverview,
)
from services.runtime.errors import InvalidArgument

STATUSES: Mapping[FileStatus, "vector_store_pb2.VectorStoreFile.Status.ValueType"] = {
    FileStatus.IN_PROGRESS: vector_store_pb2.VectorStoreFile.STATUS_IN_PROGRESS,
    FileStatus.COMPLETED: vector_store_pb2.VectorStoreFile.STATUS_COMPLETED,
    FileStatus.FAILED: vector_store_pb2.VectorStoreFile.STATUS_FAILED,
    FileStatus.CANCELLED: vector_store_pb2.VectorStoreFile.STATUS_CANCELLED,
}


def upload_message(request: file_service.CreateFileRequest) -> UploadMessage:
    """Raises InvalidArgument for a message without content."""
    match request.WhichOneof("message"):
        case "head":
            return UploadHead(request.head.filename)
        case "chunk":
            return UploadChunk(request.chunk)
        case "purpose":
            return UploadPurpose(request.purpose)
        case _:
            raise InvalidArgument("a message of an upload is one of head, chunk and purpose")


def file(found: StoredFile) -> file_pb2.File:
    return file_pb2.File(
        id=found.id,
        filename=found.filename,
        purpose=found.purpose,
        size_bytes=found.size,
        create_time=_seconds(found.created),
        subject=found.subject,
    )


def page(size: int, default: int, most: int, after: str, ascending: bool) -> PageOf:
    """Raises InvalidArgument."""
    if not 0 <= size <= most:
        raise InvalidArgument(f"page_size must be from 0 to {most}, not {size}", field="page_size")
    return PageOf(size or default, after, ascending)


def store(found: StoreOverview) -> vector_store_pb2.VectorStore:
    return vector_store_pb2.VectorStore(
        id=found.id,
        name=found.record.name,
        metadata=found.record.notes,
        create_time=convert.timestamp(found.create_time) if found.create_time else None,
        file_counts=_counts(found.files),
        usage_bytes=found.files.usage_bytes,
    )


def added(request: pb.AddedFile) -> AddedFile:
    return AddedFile(request.file_id, attributes(request.attributes), tuple(sorted(set(request.access_groups))))


def attributes(given: Mapping[str, vector_store_pb2.Attribute]) -> dict[str, Attribute]:
    """Raises InvalidArgument for a value that is not set, or no finite number."""
    return {key: _attribute(key, value) for key, value in given.items()}


def _attribute(key: str, value: vector_store_pb2.Attribute) -> Attribute:
    match value.WhichOneof("value"):
        case "text":
            return value.text
        case "number" if isfinite(value.number):
            return value.number
        case "truth":
            return value.truth
        case _:
            raise InvalidArgument(f"the attribute {key!r} has no value that it can have", field="attributes")


def attached(found: AttachedFile) -> vector_store_pb2.VectorStoreFile:
    return vector_store_pb2.VectorStoreFile(
        file_id=found.file,
        vector_store_id=found.store,
        status=STATUSES[found.status],
        error_reason=found.error_reason,
        error_message=found.error_message,
        attributes=_attributes(found.attributes),
        usage_bytes=found.size,
        create_time=_seconds(found.created),
        filename=found.filename,
        access_groups=found.access_groups,
    )


def status(number: int) -> FileStatus | None:
    """None for the unspecified one. Raises InvalidArgument."""
    if number == vector_store_pb2.VectorStoreFile.STATUS_UNSPECIFIED:
        return None
    for known, value in STATUSES.items():
        if value == number:
            return known
    raise InvalidArgument(f"there is no status {number}", field="status")


def batch(found: FileBatch) -> vector_store_pb2.FileBatch:
    return vector_store_pb2.FileBatch(
        id=found.id,
        vector_store_id=found.store,
        create_time=_seconds(found.created),
        file_counts=_counts(found.files),
        cancelled=found.cancelled,
    )


def search_request(request: pb.SearchVectorStoreRequest) -> SearchRequest:
    """Raises InvalidArgument."""
    asked = retrieval_service.SearchRequest(
        collection=request.vector_store_id,
        query=request.query,
        limit=request.limit,
        filter=request.filter,
        mode=request.mode,
    )
    return convert.search_request(asked)


def search_response(found: StoreHits) -> pb.SearchVectorStoreResponse:
    response = convert.search_response(found.result)
    hits = []
    for hit in response.hits:
        source = found.sources.get(hit.passage.document_id)
        hits.append(
            pb.VectorStoreHit(
                hit=hit,
                filename=source.filename if source else hit.passage.title,
                attributes=_attributes(source.attributes) if source else {},
            )
        )
    return pb.SearchVectorStoreResponse(hits=hits, degraded=response.degraded)


def _attributes(values: Mapping[str, Attribute]) -> dict[str, vector_store_pb2.Attribute]:
    return {key: _attribute_message(value) for key, value in values.items()}


def _attribute_message(value: Attribute) -> vector_store_pb2.Attribute:
    if isinstance(value, str):
        return vector_store_pb2.Attribute(text=value)
    if isinstance(value, bool):
        return vector_store_pb2.Attribute(truth=value)
    return vector_store_pb2.Attribute(number=value)


def _counts(found: FileCounts) -> vector_store_pb2.FileCounts:
    return vector_store_pb2.FileCounts(**{status.value: found.of(status) for status in FileStatus})


def _seconds(seconds: float) -> Timestamp:
    return convert.timestamp(datetime.fromtimestamp(seconds, UTC))
