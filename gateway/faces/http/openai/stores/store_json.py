"""Retrieval's vector stores in OpenAI's JSON. Pure."""

from collections.abc import Mapping

from headworks.retrieval.v1 import vector_store_pb2
from headworks.retrieval.v1 import vector_store_service_pb2 as pb

from services.llm.openai.chunks import Json

FileMessage = vector_store_pb2.VectorStoreFile
STATUSES: Mapping["FileMessage.Status.ValueType", str] = {
    FileMessage.STATUS_IN_PROGRESS: "in_progress",
    FileMessage.STATUS_COMPLETED: "completed",
    FileMessage.STATUS_FAILED: "failed",
    FileMessage.STATUS_CANCELLED: "cancelled",
}
# OpenAI's word for why a file failed; for all other reasons the file is invalid.
_CODES = {"MEDIA_TYPE_UNSUPPORTED": "unsupported_file", "SERVER_ERROR": "server_error"}


def store(found: vector_store_pb2.VectorStore) -> Json:
    return {
        "id": found.id,
        "object": "vector_store",
        "created_at": found.create_time.seconds,
        "name": found.name,
        "metadata": dict(found.metadata),
        "file_counts": _counts(found.file_counts),
        "usage_bytes": found.usage_bytes,
        "status": "in_progress" if found.file_counts.in_progress else "completed",
        "last_active_at": None,
        "expires_after": None,
        "expires_at": None,
    }


def file(found: FileMessage) -> Json:
    failed = found.status == FileMessage.STATUS_FAILED
    code = _CODES.get(found.error_reason, "invalid_file")
    return {
        "id": found.file_id,
        "object": "vector_store.file",
        "created_at": found.create_time.seconds,
        "vector_store_id": found.vector_store_id,
        "status": STATUSES[found.status],
        "last_error": {"code": code, "message": found.error_message} if failed else None,
        "usage_bytes": found.usage_bytes,
        "attributes": attributes(found.attributes),
        "chunking_strategy": {"type": "other"},
    }


def batch(found: vector_store_pb2.FileBatch) -> Json:
    counts = _counts(found.file_counts)
    status = "in_progress" if counts["in_progress"] else "cancelled" if found.cancelled else "completed"
    return {
        "id": found.id,
        "object": "vector_store.files_batch",
        "created_at": found.create_time.seconds,
        "vector_store_id": found.vector_store_id,
        "status": status,
        "file_counts": counts,
    }


def hit(found: pb.VectorStoreHit) -> Json:
    passage = found.hit.passage
    return {
        "file_id": passage.document_id,
        "filename": found.filename,
        "score": found.hit.score,
        "attributes": attributes(found.attributes),
        "content": [{"type": "text", "text": passage.text}],
    }


def attributes(given: Mapping[str, vector_store_pb2.Attribute]) -> Json:
    return {key: getattr(value, str(value.WhichOneof("value"))) for key, value in given.items()}


def _counts(found: vector_store_pb2.FileCounts) -> Json:
    counts = {name: getattr(found, name) for name in ("in_progress", "completed", "failed", "cancelled")}
    return {**counts, "total": sum(counts.values())}
