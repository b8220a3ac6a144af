"""What can be wrong with a request, a document or the store."""

from collections.abc import Iterable

from services.runtime.errors import CannotStart, DeadlineExceeded, DomainError, ErrorKind, Unavailable


class CollectionExists(DomainError):
    kind = ErrorKind.ALREADY_EXISTS
    reason = "COLLECTION_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a collection {name!r} already", collection=name)


class DocumentNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "DOCUMENT_NOT_FOUND"

    def __init__(self, document_id: str) -> None:
        super().__init__(f"there is no document {document_id!r}", document_id=document_id)


class TooManyIngests(DomainError):
    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_INGESTS"

    def __init__(self, running: int, limit: int) -> None:
        super().__init__(
            f"{running} ingestions are under way already, of {limit} at most, and this tenant has its share; try again "
            "later",
            limit=str(limit),
        )


class IngestUnderWay(DomainError):
    """Two ingestions that delete what they do not find would delete each other's documents."""

    kind = ErrorKind.ABORTED
    reason = "INGEST_UNDER_WAY"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"another ingestion that deletes documents is under way in the collection {name!r}; try again after it",
            collection=name,
        )


class CollectionBroken(DomainError):
    """A collection's data cannot be read. Trying again does not help; somebody must set it right."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "COLLECTION_BROKEN"

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"the collection {name!r} is broken: {why}. Delete it and ingest it again, or restore its folder and "
            "restart retrieval, whose log says more",
            collection=name,
        )
        self.why = why


class StoreFull(DomainError):
    """Too little space is left on the store's disk."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "STORE_FULL"


class StoreUnavailable(Unavailable):
    """The store does not answer for now."""

    reason = "STORE_UNAVAILABLE"


class EmbedderUnavailable(Unavailable):
    """The embedding model does not answer for now."""

    reason = "EMBEDDER_UNAVAILABLE"


class EmbedderNotServed(DomainError):
    """The embedder is known, but the model server has not loaded it. Trying again does not help; somebody must."""

    kind = ErrorKind.FAILED_PRECONDITION
    reason = "EMBEDDER_NOT_SERVED"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the embedder {name!r} is not served: name it in HEADWORKS_MODELS_EMBEDDERS and start the model server "
            "again",
            embedder=name,
        )


class EmbedderUnknown(DomainError):
    """There is no such embedder in this version."""

    kind = ErrorKind.INVALID_ARGUMENT
    reason = "EMBEDDER_UNKNOWN"

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no embedder {name!r}: {', '.join(known)} are known", embedder=name)


class MoveUnderWay(DomainError):
    """A collection moves to one embedder at a time."""

    kind = ErrorKind.ABORTED
    reason = "MOVE_UNDER_WAY"

    def __init__(self, name: str, embedder: str) -> None:
        super().__init__(
            f"the collection {name!r} is under way to the embedder {embedder!r}; name the one that it has to stop that",
            collection=name,
        )


class IndexRetired(DomainError):
    """The generation of a collection's index was given up for another one meanwhile; with that one all is well."""

    kind = ErrorKind.ABORTED
    reason = "INDEX_RETIRED"

    def __init__(self, name: str) -> None:
        super().__init__(f"the index of the collection {name!r} was replaced meanwhile; try again", collection=name)


class RerankerUnavailable(Unavailable):
    """The reranker does not answer for now."""

    reason = "RERANKER_UNAVAILABLE"


class RerankerTimeout(DeadlineExceeded):
    """The reranker used all the time that a search has for it."""


class EmbedderTimeout(DeadlineExceeded):
    """The embedding model did not answer within all the time that a query has, whatever its caller's deadline."""


class StoreLocked(CannotStart):
    """The store's folder belongs to another process."""


class FileNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "FILE_NOT_FOUND"

    def __init__(self, file_id: str) -> None:
        super().__init__(f"there is no file {file_id!r}", file_id=file_id)


class FileBatchNotFound(DomainError):
    kind = ErrorKind.NOT_FOUND
    reason = "FILE_BATCH_NOT_FOUND"

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"there is no file batch {batch_id!r}", batch_id=batch_id)


class FileTooLarge(DomainError):
    kind = ErrorKind.INVALID_ARGUMENT
    reason = "FILE_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the file is larger than the limit of {limit} bytes", limit=str(limit))


class FileEmpty(DomainError):
    kind = ErrorKind.INVALID_ARGUMENT
    reason = "FILE_EMPTY"

    def __init__(self) -> None:
        super().__init__("the file is empty")


class FilesFull(DomainError):
    """Trying again does not help before files are deleted."""

    kind = ErrorKind.RESOURCE_EXHAUSTED
    reason = "FILES_FULL"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"with this file the tenant's files would have more than {limit} bytes: delete some", limit=str(limit)
        )


class DocumentError(DomainError):
    """One document cannot be ingested; the others can."""

    kind = ErrorKind.INVALID_ARGUMENT


class DocumentInvalid(DocumentError):
    reason = "INVALID_ARGUMENT"


class DocumentIdTaken(DocumentError):
    """A document that the caller may not read has the id."""

    reason = "DOCUMENT_ID_TAKEN"

    def __init__(self, document_id: str) -> None:
        super().__init__(f"the id {document_id!r} is not free: choose another one")


class OutsideAccessGroups(DocumentError):
    """Nobody writes what they could neither read nor replace."""

    reason = "OUTSIDE_ACCESS_GROUPS"

    def __init__(self) -> None:
        super().__init__(
            "you are in none of the document's access groups: name one that you are in, or ask for "
            "documents.others:read"
        )


class DocumentTooLarge(DocumentError):
    reason = "DOCUMENT_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the document is larger than the limit of {limit} bytes", limit=str(limit))


class ContentTooLarge(DocumentError):
    """What a document unpacks to is more than is read."""

    reason = DocumentTooLarge.reason


class DocumentUnreadable(DocumentError):
    reason = "DOCUMENT_UNREADABLE"


class EncodingUnknown(DocumentError):
    """A text's encoding cannot be told."""

    reason = "DOCUMENT_ENCODING_UNKNOWN"


class MediaTypeUnsupported(DocumentError):
    reason = "MEDIA_TYPE_UNSUPPORTED"


class DocumentEmpty(DocumentError):
    reason = "DOCUMENT_EMPTY"

    def __init__(self, message: str = "the document holds no text") -> None:
        super().__init__(message)


class HashMismatch(DocumentError):
    reason = "CONTENT_HASH_MISMATCH"

    def __init__(self) -> None:
        super().__init__("the bytes received do not have the SHA-256 that was announced")


def document_error(reason: str, message: str) -> DocumentError:
    """The error that a reader raised, by its reason."""
    errors = (ContentTooLarge, EncodingUnknown, DocumentEmpty)
    return next((error for error in errors if error.reason == reason), DocumentUnreadable)(message)


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust gave up, which is no Exception."""
    return type(error).__module__ == "pyo3_runtime"
