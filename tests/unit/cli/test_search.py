"""How `headworks search --explain` says what ranked."""

import io

from headworks.retrieval.v1 import retrieval_service_pb2 as pb
from rich.console import Console

from cli.documents.search import explained, print_ranking

RANKING = pb.RankingExplanation(
    query_language="en",
    language_embedded=True,
    weights=[
        pb.SignalWeight(signal="dense", weight=1.0),
        pb.SignalWeight(signal="lexical", weight=0.6),
        pb.SignalWeight(signal="exact", weight=6.4),
    ],
    reason="it stands out",
    identifiers=["wf-m5799"],
    unsupported=2,
)


def printed(ranking: pb.RankingExplanation) -> str:
    out = Console(file=io.StringIO(), soft_wrap=True)
    print_ranking(out, explained(ranking))
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_weights_are_shares() -> None:
    assert explained(RANKING)["weights"] == {"dense": 0.125, "lexical": 0.075, "exact": 0.8}


def test_each_figure_has_a_line() -> None:
    assert printed(RANKING).splitlines()[:5] == [
        "weights      dense 12%  lexical 8%  exact 80%",
        "why          it stands out",
        "language     en",
        "identifiers  wf-m5799",
        "left out     2 passages that no signal supports",
    ]


def test_what_is_not_known_is_said() -> None:
    text = printed(pb.RankingExplanation())
    assert "language     not told by the query" in text
    assert "identifiers  none that few passages hold" in text
