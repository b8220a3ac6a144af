"""`headworks search`."""

from pathlib import Path
from typing import Any

import click

from cli.options import collection_option, mesh_options, timeout_option

MODES = ("hybrid", "dense", "lexical")


@click.command()
@click.argument("query")
@collection_option
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Hits at most.")
@click.option("--mode", type=click.Choice(MODES), default="hybrid", show_default=True, help="Signals to use.")
@click.option(
    "--where", multiple=True, metavar="FIELD=VALUE",
    help="Only documents whose document_id, media_type or metadata.KEY has the value; may be repeated.",
)  # fmt: skip
@timeout_option(30)
@mesh_options
def search(
    query: str, collection: str, limit: int, mode: str, where: tuple[str, ...], timeout: float,
    data: Path | None, edge: str | None, key: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Find the passages that best answer QUERY, each with its score taken apart.

    \b
    Examples:
      headworks search "outlier ejection" --collection docs
      headworks search "budget" --mode lexical --where media_type=text/markdown --json
    """
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    from cli import wording
    from cli.client import calling, utf8
    from cli.find import find_edge
    from cli.output import print_json

    request = pb.SearchRequest(
        collection=utf8(collection, "the collection"), query=utf8(query, "the query"), limit=limit,
        mode=pb.SearchMode.Value(f"SEARCH_MODE_{mode.upper()}"), filter=_filter(where),
    )  # fmt: skip
    with calling(find_edge(data, edge, key)) as client:
        response = client.retrieval.Search(request, timeout=timeout, metadata=client.metadata)
    hits = [_hit(hit) for hit in response.hits]
    timings = {timing.hop: round(timing.duration.ToTimedelta().total_seconds() * 1000, 2)
               for timing in response.timings}  # fmt: skip
    if as_json:
        said = {"query_script": response.query_script, "degraded": response.degraded}
        print_json({**said, "hits": hits, "timings_ms": timings})
        return
    if response.degraded:
        click.echo(f"headworks: {wording.DEGRADED}", err=True)
    _show(hits, timings)


def _filter(where: tuple[str, ...]) -> Any:
    """The conditions; values of one field are alternatives."""
    from headworks.retrieval.v1 import retrieval_service_pb2 as pb

    fields: dict[str, list[str]] = {}
    for condition in where:
        name, found, value = condition.partition("=")
        if not found:
            raise click.UsageError(f"--where {condition!r}: write FIELD=VALUE")
        fields.setdefault(name, []).append(value)
    return pb.Filter(must=[pb.Condition(field=name, any_of=values) for name, values in fields.items()])


def _hit(hit: Any) -> dict[str, Any]:
    passage = hit.passage
    return {
        "document_id": passage.document_id,
        "passage_id": passage.id,
        "title": passage.title,
        "headings": list(passage.headings),
        "span": {"start": passage.span.start, "end": passage.span.end},
        "text": passage.text,
        "score": round(hit.score, 4),
        "signals": {
            signal.signal: {
                "score": round(signal.score, 4),
                "rank": signal.rank,
                "contribution": round(signal.contribution, 4),
            }
            for signal in hit.signals
        },
    }


def _show(hits: list[dict[str, Any]], timings: dict[str, float]) -> None:
    from cli.output import console, print_timings, shorten

    out = console()
    if not hits:
        out.print("Nothing found.")
    for number, hit in enumerate(hits, 1):
        out.print(f"{number}. {' › '.join([hit['document_id'], *hit['headings']])}", style="bold", markup=False)
        signals = "  ".join(
            f"{name} {one['score']:.3f} (rank {one['rank'] or '-'}, adds {one['contribution']:.3f})"
            for name, one in hit["signals"].items()
        )
        out.print(f"   score {hit['score']:.3f}  =  {signals}", style="cyan", markup=False)
        out.print(f"   {shorten(hit['text'], 240)}\n", markup=False)
    print_timings(timings)
