"""`headworks search`."""

from typing import TYPE_CHECKING, Any

import click
from headworks.retrieval.v1 import retrieval_service_pb2 as pb

from cli.documents.filters import filter_option, make_filter
from cli.options import MeshOptions, collection_option, on_mesh, timings_option
from cli.output import console, print_json, print_timings, put, shortcomings, shorten, timings_ms, warn
from services.runtime.language.markdown import plain

if TYPE_CHECKING:
    from rich.console import Console

MODES = ("hybrid", "dense", "lexical")
_LABEL = 12


@click.command()
@click.argument("query")
@collection_option
@click.option("--limit", type=click.IntRange(1, 100), default=5, show_default=True, help="Hits at most.")
@click.option("--mode", type=click.Choice(MODES), default="hybrid", show_default=True, help="Signals to use.")
@filter_option("--where")
@click.option(
    "--rerank", type=click.IntRange(0, 100), default=0, metavar="N", help="Have the reranker read the best N again."
)
@click.option("--explain", is_flag=True, help="Say how the signals were weighed, and why.")
@timings_option
@on_mesh(30)
def search(
    query: str, collection: str, limit: int, mode: str, conditions: tuple[str, ...], rerank: int, explain: bool,
    timings: bool, on: MeshOptions,
) -> None:  # fmt: skip
    """Find the passages that best answer QUERY, each with its score taken apart.

    \b
    Examples:
      headworks search "outlier ejection" --collection docs
      headworks search "toner of the WF-M5799" --explain
      headworks search "when does a budget begin anew?" --rerank 20 --explain
      headworks search budget --mode lexical --filter media_type=text/markdown
      headworks search "travel costs" --filter team=hydro --filter status!=draft
    """
    request = pb.SearchRequest(
        collection=collection, query=query, limit=limit,
        mode=pb.SearchMode.Value(f"SEARCH_MODE_{mode.upper()}"), filter=make_filter(conditions),
        rerank=rerank,
    )  # fmt: skip
    with on.client() as client:
        response = client.retrieval.Search(request)
    hits = [_hit(hit) for hit in response.hits]
    took = timings_ms(response.timings)
    if on.as_json:
        header = {
            "query_script": response.query_script,
            "degraded": response.degraded,
            "not_reranked": response.not_reranked,
        }
        ranking = {"ranking": explained(response.ranking)} if explain else {}
        print_json({**header, **ranking, "hits": hits, "timings_ms": took})
        return
    for note in shortcomings(response.degraded, response.not_reranked):
        warn(note)
    if explain:
        print_ranking(console(), explained(response.ranking))
    _print(hits)
    if timings:
        print_timings(took)


def _hit(hit: Any) -> dict[str, Any]:
    passage = hit.passage
    return {
        "document_id": passage.document_id,
        "passage_id": passage.id,
        "title": passage.title,
        "headings": list(passage.headings),
        "page": passage.page,
        "kind": passage.kind,
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


def explained(ranking: pb.RankingExplanation) -> dict[str, Any]:
    """How a search ranked, with the signals' shares of the score."""
    total = sum(each.weight for each in ranking.weights) or 1.0
    return {
        "query_language": ranking.query_language,
        "language_embedded": ranking.language_embedded,
        "weights": {each.signal: round(each.weight / total, 4) for each in ranking.weights},
        "reason": ranking.reason,
        "identifiers": list(ranking.identifiers),
        "unsupported": ranking.unsupported,
    }


def print_ranking(out: "Console", ranking: dict[str, Any]) -> None:
    """The same in words."""
    weights = "  ".join(f"{signal} {share:.0%}" for signal, share in ranking["weights"].items())
    rows = {
        "weights": weights,
        "why": ranking["reason"],
        "language": ranking["query_language"] or "not told by the query",
        "identifiers": ", ".join(ranking["identifiers"]) or "none that few passages hold",
        "left out": f"{ranking['unsupported']} passages that no signal supports",
    }
    for name, value in rows.items():
        out.print(f"{name:<{_LABEL}}", style="bold", end=" ")
        put(out, value, style="cyan", first=_LABEL + 1, indent=_LABEL + 1)
    out.print()


def _print(hits: list[dict[str, Any]]) -> None:
    out = console()
    if not hits:
        out.print("Nothing found.")
    for number, hit in enumerate(hits, 1):
        out.print(f"{number}.", style="bold", end=" ")
        page = [f"page {hit['page']}"] if hit["page"] else []
        put(out, " › ".join([hit["document_id"], *hit["headings"], *page]), style="bold", first=3, indent=3)
        signals = "  ".join(
            f"{name} {one['score']:.3f} (rank {one['rank'] or '-'}, adds {one['contribution']:.3f})"
            for name, one in hit["signals"].items()
        )
        put(out, f"score {hit['score']:.3f}  =  {signals}", style="cyan", indent=3)
        put(out, shorten(plain(hit["text"]), 240), indent=3)
        out.print()
