"""Bodies of /v1/vector_stores as retrieval's requests. Pure; what is wrong raises BadRequest, which names the field."""

from dataclasses import dataclass
from typing import Any

from headworks.retrieval.v1 import vector_store_pb2
from headworks.retrieval.v1 import vector_store_service_pb2 as pb

from gateway.faces.http.openai import fields
from gateway.faces.http.openai.errors import BadRequest
from gateway.faces.http.openai.stores import filters, store_json
from services.llm.openai.chunks import Json

DEFAULT_RESULTS, MOST_RESULTS = 10, 50
FILE_FIELDS = ("file_id", "attributes", "chunking_strategy", "access_groups")
RANKERS = ("auto", "default-2024-11-15", "none")
STATUSES = {name: status for status, name in store_json.STATUSES.items()}


@dataclass(frozen=True, slots=True)
class StoreSearch:
    """A search, and the score below which its hits are left out."""

    request: pb.SearchVectorStoreRequest
    least_score: float


def creation(body: Json) -> tuple[pb.CreateVectorStoreRequest, list[str]]:
    """A new vector store, and the files to put into it."""
    fields.known(body, ("name", "metadata", "file_ids", "chunking_strategy"), "")
    _chunking(body, "")
    request = pb.CreateVectorStoreRequest(name=fields.maybe_text(body, "name"), metadata=_notes(body))
    return request, _ids(body)


def change(store: str, body: Json) -> pb.UpdateVectorStoreRequest:
    fields.known(body, ("name", "metadata"), "")
    name = fields.maybe_text(body, "name") if body.get("name") is not None else None
    noted = body.get("metadata") is not None
    return pb.UpdateVectorStoreRequest(vector_store_id=store, name=name, metadata=_notes(body), set_metadata=noted)


def search(store: str, body: Json) -> StoreSearch:
    """Several queries are one, one after the other."""
    fields.known(body, ("query", "filters", "max_num_results", "ranking_options", "rewrite_query"), "")
    if fields.flag(body, "rewrite_query"):
        raise BadRequest("rewrite_query is not supported here: queries are searched as they are", "rewrite_query")
    ranking = fields.mapping(body, "ranking_options")
    fields.known(ranking, ("ranker", "score_threshold"), "ranking_options.")
    if ranking.get("ranker") not in (None, *RANKERS):
        raise BadRequest("ranking_options.ranker is not one that there is", "ranking_options.ranker")
    limit = fields.integer(body, "max_num_results", 1, MOST_RESULTS) or DEFAULT_RESULTS
    given = body.get("filters")
    request = pb.SearchVectorStoreRequest(
        vector_store_id=store,
        query=_query(body.get("query")),
        limit=limit,
        filter=filters.read(given) if given is not None else None,
    )
    return StoreSearch(request, fields.number(ranking, "score_threshold", 0, 1) or 0.0)


def added_file(body: Json, path: str) -> pb.AddedFile:
    """A file to put into a vector store."""
    _chunking(body, path)
    return pb.AddedFile(
        file_id=fields.text(body, "file_id", path),
        attributes=attributes(body, path),
        access_groups=_texts(body, "access_groups", path),
    )


def batch(body: Json) -> list[pb.AddedFile]:
    """The files of a batch: ids that have all else in common, or each with its own."""
    fields.known(body, ("file_ids", "files", "attributes", "chunking_strategy", "access_groups"), "")
    ids, files = _ids(body), fields.entries(body, "files")
    if bool(ids) == bool(files):
        raise BadRequest("a batch has either file_ids or files", "file_ids")
    if ids:
        return [added_file({**body, "file_id": file_id}, "") for file_id in ids]
    found = []
    for at, file in enumerate(files):
        path = f"files[{at}]."
        if not isinstance(file, dict):
            raise BadRequest(f"files[{at}] must be an object", f"files[{at}]")
        fields.known(file, FILE_FIELDS, path)
        found.append(added_file(file, path))
    return found


def attributes(body: Json, path: str) -> dict[str, vector_store_pb2.Attribute]:
    """Strings, numbers and booleans by their names."""
    given = fields.mapping(body, "attributes", path)
    return {key: _attribute(value, f"{path}attributes.{key}") for key, value in given.items()}


def status(name: str) -> "vector_store_pb2.VectorStoreFile.Status.ValueType":
    if name and name not in STATUSES:
        raise BadRequest(f"filter must be one of {', '.join(STATUSES)}", "filter")
    return STATUSES.get(name, vector_store_pb2.VectorStoreFile.STATUS_UNSPECIFIED)


def _attribute(value: Any, path: str) -> vector_store_pb2.Attribute:
    match value:
        case bool():
            return vector_store_pb2.Attribute(truth=value)
        case str():
            return vector_store_pb2.Attribute(text=value)
        case int() | float():
            return vector_store_pb2.Attribute(number=value)
    raise BadRequest(f"{path} must be a string, a number or a boolean", path)


def _query(value: Any) -> str:
    queries = value if isinstance(value, list) else [value]
    if not queries or not all(isinstance(one, str) and one for one in queries):
        raise BadRequest("query must be a string that is not empty, or a list of such", "query")
    return " ".join(queries)


def _chunking(body: Json, path: str) -> None:
    strategy = fields.mapping(body, "chunking_strategy", path)
    if strategy and strategy.get("type") != "auto":
        raise BadRequest(
            f"{path}chunking_strategy must be auto: how documents are split is the collection's",
            f"{path}chunking_strategy",
        )


def _ids(body: Json) -> list[str]:
    return _texts(body, "file_ids", "")


def _texts(body: Json, name: str, path: str) -> list[str]:
    values = fields.entries(body, name, path)
    if not all(isinstance(one, str) and one for one in values):
        raise BadRequest(f"{path}{name} must be a list of strings", f"{path}{name}")
    return values


def _notes(body: Json) -> dict[str, str]:
    notes = fields.mapping(body, "metadata")
    if not all(isinstance(value, str) for value in notes.values()):
        raise BadRequest("the values of metadata must be strings", "metadata")
    return notes
