"""`headworks collections` and what is below it."""

import time
from typing import Any

import click
from headworks.retrieval.v1 import collection_pb2
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from cli.messages import as_dict, list_all
from cli.options import MeshOptions, confirm, on_mesh, yes_option
from cli.output import print_done, print_json, print_list, warn

NONE = "No collections yet: make one with `headworks ingest PATH… --collection NAME`."
COLUMNS = {"collection": "name", "documents": "documents", "passages": "passages", "embedder": "embedder",
           "created": "create_time"}  # fmt: skip
EMBEDDER = "Embedder: all-minilm-l6-v2, which speaks English, or multilingual-e5-small"
POLL_SECONDS = 1.0
OUTDATED = (
    "Outdated documents were indexed by an older version, and searches find less in them: ingest them again, unchanged "
    "as they are."
)
DOCUMENTS = {"document": "id", "title": "title", "type": "media_type", "bytes": "size_bytes", "passages": "passages",
             "updated": "update_time"}  # fmt: skip


@click.group(invoke_without_command=True)
@on_mesh(30)
@click.pass_context
def collections(ctx: click.Context, on: MeshOptions) -> None:
    """List the collections; create and delete them; list their documents.

    \b
    Examples:
      headworks collections
      headworks collections create papers --max-chars 2000
      headworks collections reembed papers --embedder multilingual-e5-small
      headworks collections documents papers --json
      headworks collections delete papers
    """
    if ctx.invoked_subcommand is not None:
        return
    with on.client() as client:
        messages = list_all(client.retrieval.ListCollections, pb.ListCollectionsRequest(), "collections")
        rows = [_collection(message) for message in messages]
    rare = {name: name for name in ("reembedding", "outdated", "broken") if any(row[name] for row in rows)}
    print_list(on, "collections", rows, COLUMNS | rare, NONE)
    if "outdated" in rare and not on.as_json:
        warn(OUTDATED)


@collections.command()
@click.argument("name")
@click.option("--max-chars", type=int, default=0, help="Longest passage in characters, 200 to 8000; 0 means 1200.")
@click.option("--embedder", default="", help=f"{EMBEDDER}; the service's default where none is named.")
@on_mesh(30)
def create(name: str, max_chars: int, embedder: str, on: MeshOptions) -> None:
    """Create the empty collection NAME.

    \b
    Examples:
      headworks collections create papers --max-chars 2000
      headworks collections create carnets --embedder multilingual-e5-small
    """
    settings = collection_pb2.PassageSettings(max_chars=max_chars) if max_chars else None
    request = pb.CreateCollectionRequest(name=name, passage_settings=settings, embedder=embedder)
    with on.client() as client:
        collection = client.retrieval.CreateCollection(request).collection
    print_done(on, f"Created {collection.name}.", **_collection(collection))


@collections.command()
@click.argument("name")
@click.option("--embedder", required=True, help=f"{EMBEDDER}. The one that it has stops a move.")
@click.option("--wait/--no-wait", default=True, help="Whether to wait for the end; the move goes on either way.")
@on_mesh(30)
def reembed(name: str, embedder: str, wait: bool, on: MeshOptions) -> None:
    """Move the collection NAME to another embedder, in the background.

    Searches and ingestion go on meanwhile. Searches turn to the new vectors at once, when all of them are made.

    \b
    Example:
      headworks collections reembed papers --embedder multilingual-e5-small
    """
    with on.client() as client:
        request = pb.ReembedCollectionRequest(name=name, embedder=embedder)
        collection = client.retrieval.ReembedCollection(request).collection
        said = ""
        while wait and collection.HasField("reembedding"):
            if (progress := _progress(collection)) != said and not on.as_json:
                click.echo(progress, err=True)
                said = progress
            time.sleep(POLL_SECONDS)
            listed = list_all(client.retrieval.ListCollections, pb.ListCollectionsRequest(), "collections")
            collection = next((one for one in listed if one.name == name), collection_pb2.Collection(name=name))
    under_way = collection.HasField("reembedding")
    done = f"{name} is under way to {embedder}." if under_way else f"{name} has the embedder {collection.embedder}."
    print_done(on, done, **_collection(collection))


@collections.command()
@click.argument("name")
@yes_option
@on_mesh(60)
def delete(name: str, yes: bool, on: MeshOptions) -> None:
    """Delete the collection NAME with everything in it.

    \b
    Example:
      headworks collections delete papers --yes
    """
    request = pb.DeleteCollectionRequest(name=name)
    confirm(on, f"Delete {name} with everything in it?", yes)
    with on.client() as client:
        client.retrieval.DeleteCollection(request)
    print_done(on, f"Deleted {name}.", deleted=name)


@collections.command()
@click.argument("name")
@on_mesh(60)
def documents(name: str, on: MeshOptions) -> None:
    """List the documents of the collection NAME.

    \b
    Example:
      headworks collections documents papers
    """
    with on.client() as client:
        messages = list_all(client.retrieval.ListDocuments, pb.ListDocumentsRequest(collection=name), "documents")
        rows = [_document(message) for message in messages]
    if on.as_json:
        print_json({"collection": name, "documents": rows})
    else:
        print_list(on, "documents", rows, DOCUMENTS)


def _collection(message: Any) -> dict[str, Any]:
    return {
        "name": message.name,
        "documents": message.document_count,
        "passages": message.passage_count,
        "outdated": message.outdated_document_count,
        "max_chars": message.passage_settings.max_chars,
        "embedder": message.embedder,
        "reembedding": _progress(message) if message.HasField("reembedding") else "",
        "create_time": as_dict(message)["create_time"] or "",
        "broken": message.broken,
    }


def _progress(message: Any) -> str:
    move = message.reembedding
    waiting = f" (waiting: {move.waiting})" if move.waiting else ""
    return f"{move.embedder}: {move.document_count} of {message.document_count} documents{waiting}"


def _document(message: Any) -> dict[str, Any]:
    fields = as_dict(message)
    return {
        "id": message.id,
        "title": message.title,
        "uri": message.uri,
        "media_type": message.media_type,
        "content_hash": message.content_hash,
        "size_bytes": message.size_bytes,
        "passages": message.passage_count,
        "update_time": fields["update_time"] or "",
        "metadata": fields["metadata"],
    }
