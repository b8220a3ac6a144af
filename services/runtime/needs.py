"""What the methods of retrieval need of their caller: for the gateway, and for who calls them on a caller's behalf."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# What a method needs: a function from a request to the permissions.
Needs = Callable[[Any], Sequence[str]]
DEFAULT_COLLECTION = "default"


def plain(permission: str) -> Needs:
    """The permission, whatever the request says."""
    return lambda request: (permission,)


def of_field(verb: str, field: str, default: str = "*") -> Needs:
    """The permission for what the request's field names; for `default` where it names nothing."""
    return lambda request: (f"{verb}:{getattr(request, field) or default}",)


def of_collection(verb: str, field: str = "collection") -> Needs:
    return of_field(f"collections.{verb}", field, DEFAULT_COLLECTION)


def of_ingestion(request: Any) -> Sequence[str]:
    """The collection is in the first message of the stream."""
    return (f"collections.write:{request.open.collection or DEFAULT_COLLECTION}",)


RETRIEVAL: Mapping[str, Needs] = {
    "Ingest": of_ingestion,
    "Search": of_collection("read"),
    "GetDocument": of_collection("read"),
    "DeleteDocument": of_collection("write"),
    "ListDocuments": of_collection("read"),
    "CreateCollection": of_collection("write", "name"),
    "ReembedCollection": of_collection("write", "name"),
    "ListCollections": plain("collections.read:*"),
    "DeleteCollection": of_collection("delete", "name"),
}

# Files are their uploader's, as runs are their user's: see "files.others:<read|write>".
FILES: Mapping[str, Needs] = {
    "CreateFile": plain("files.write:*"),
    "GetFile": of_field("files.read", "file_id"),
    "ListFiles": plain("files.read:*"),
    "ReadFile": of_field("files.read", "file_id"),
    "DeleteFile": of_field("files.write", "file_id"),
}


def of_added_files(request: Any) -> Sequence[str]:
    """To write the vector store, and to read each of the files that are put into it."""
    files = (f"files.read:{file.file_id or '*'}" for file in request.files)
    return [f"collections.write:{request.vector_store_id or '*'}", *files]


# A vector store is a collection, and its id the collection's name.
_STORE = "vector_store_id"
VECTOR_STORES: Mapping[str, Needs] = {
    "CreateVectorStore": plain("collections.write:*"),
    "GetVectorStore": of_field("collections.read", _STORE),
    "ListVectorStores": plain("collections.read:*"),
    "UpdateVectorStore": of_field("collections.write", _STORE),
    "DeleteVectorStore": of_field("collections.delete", _STORE),
    "AddVectorStoreFiles": of_added_files,
    "GetVectorStoreFile": of_field("collections.read", _STORE),
    "ListVectorStoreFiles": of_field("collections.read", _STORE),
    "UpdateVectorStoreFile": of_field("collections.write", _STORE),
    "DeleteVectorStoreFile": of_field("collections.write", _STORE),
    "GetFileBatch": of_field("collections.read", _STORE),
    "CancelFileBatch": of_field("collections.write", _STORE),
    "SearchVectorStore": of_field("collections.read", _STORE),
}

BY_SERVICE: Mapping[str, Mapping[str, Needs]] = {
    "headworks.retrieval.v1.RetrievalService": RETRIEVAL,
    "headworks.retrieval.v1.FileService": FILES,
    "headworks.retrieval.v1.VectorStoreService": VECTOR_STORES,
}
"""By the service's full name, then the method's."""
