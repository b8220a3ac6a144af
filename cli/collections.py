"""`headworks collections` and what is below it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cli.options import mesh_options, timeout_option

PAGE = 1000


@click.group(invoke_without_command=True)
@timeout_option(30)
@mesh_options
@click.pass_context
def collections(
    ctx: click.Context, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool
) -> None:
    """List the collections; create and delete them; list their documents.

    \b
    Examples:
      headworks collections
      headworks collections create papers --max-chars 2000
      headworks collections documents papers --json
      headworks collections delete papers
    """
    if ctx.invoked_subcommand is not None:
        return
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    from cli.client import calling
    from cli.find import find_edge
    from cli.output import print_json, table, wide

    with calling(find_edge(data, edge, key)) as client:
        request = pb.ListCollectionsRequest(page_size=PAGE)
        pages = _pages(client.retrieval.ListCollections, request, timeout, client.metadata)
        found = [_collection(one) for page in pages for one in page.collections]
    if as_json:
        print_json({"collections": found})
    elif not found:
        click.echo("No collections yet: make one with `headworks ingest PATH… --collection NAME`.")
    else:
        columns = ["collection", "documents", "passages", "created"]
        if any(one["broken"] for one in found):
            columns.append("broken")
        names = {"collection": "name", "created": "create_time"}
        rows = ([one[names.get(column, column)] for column in columns] for one in found)
        wide().print(table(columns, rows, right=("documents", "passages")))


@collections.command()
@click.argument("name")
@click.option("--max-chars", type=int, default=0, help="Longest passage in characters, 200 to 8000; 0 means 1200.")
@timeout_option(30)
@mesh_options
def create(
    name: str, max_chars: int, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool
) -> None:
    """Create the empty collection NAME.

    \b
    Example:
      headworks collections create papers --max-chars 2000
    """
    from headworks.retrieval.v1 import collection_pb2
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    from cli.client import calling, utf8
    from cli.find import find_edge
    from cli.output import print_json

    settings = collection_pb2.PassageSettings(max_chars=max_chars) if max_chars else None
    request = pb.CreateCollectionRequest(name=utf8(name, "the name"), passage_settings=settings)
    with calling(find_edge(data, edge, key)) as client:
        response = client.retrieval.CreateCollection(request, timeout=timeout, metadata=client.metadata)
    if as_json:
        print_json(_collection(response.collection))
    else:
        click.echo(f"Created {response.collection.name}.")


@collections.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@timeout_option(60)
@mesh_options
def delete(
    name: str, yes: bool, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool
) -> None:
    """Delete the collection NAME with everything in it.

    \b
    Example:
      headworks collections delete papers --yes
    """
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    from cli.client import calling, utf8
    from cli.find import find_edge
    from cli.output import print_json

    if not yes and not as_json:
        click.confirm(f"Delete {name} with everything in it?", abort=True)
    with calling(find_edge(data, edge, key)) as client:
        request = pb.DeleteCollectionRequest(name=utf8(name, "the name"))
        client.retrieval.DeleteCollection(request, timeout=timeout, metadata=client.metadata)
    if as_json:
        print_json({"deleted": name})
    else:
        click.echo(f"Deleted {name}.")


@collections.command()
@click.argument("name")
@timeout_option(60)
@mesh_options
def documents(name: str, timeout: float, data: Path | None, edge: str | None, key: str | None, as_json: bool) -> None:
    """List the documents of the collection NAME.

    \b
    Example:
      headworks collections documents papers
    """
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    from cli.client import calling, utf8
    from cli.find import find_edge
    from cli.output import print_json, table, wide

    with calling(find_edge(data, edge, key)) as client:
        request = pb.ListDocumentsRequest(collection=utf8(name, "the name"), page_size=PAGE)
        pages = _pages(client.retrieval.ListDocuments, request, timeout, client.metadata)
        found = [_document(one) for page in pages for one in page.documents]
    if as_json:
        print_json({"collection": name, "documents": found})
        return
    columns = ("document", "title", "type", "bytes", "passages", "updated")
    rows = ((one["id"], one["title"], one["media_type"], one["size_bytes"], one["passages"], one["update_time"])
            for one in found)  # fmt: skip
    wide().print(table(columns, rows, right=("bytes", "passages")))


def _pages(method: Any, request: Any, timeout: float, metadata: Any) -> Iterator[Any]:
    """Every page of a list."""
    while True:
        page = method(request, timeout=timeout, metadata=metadata)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _collection(one: Any) -> dict[str, Any]:
    return {
        "name": one.name,
        "documents": one.document_count,
        "passages": one.passage_count,
        "max_chars": one.passage_settings.max_chars,
        "create_time": one.create_time.ToJsonString() if one.HasField("create_time") else "",
        "broken": one.broken,
    }


def _document(one: Any) -> dict[str, Any]:
    return {
        "id": one.id,
        "title": one.title,
        "uri": one.uri,
        "media_type": one.media_type,
        "content_hash": one.content_hash,
        "size_bytes": one.size_bytes,
        "passages": one.passage_count,
        "update_time": one.update_time.ToJsonString() if one.HasField("update_time") else "",
        "metadata": dict(one.metadata),
    }
