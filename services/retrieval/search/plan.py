"""What a query is worth asking with: checked, its script told, its signals weighed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.retrieval.language.words import query_vector
from services.retrieval.model import Condition, DocumentFilter, SearchMode, SearchRequest, Signal, Sparse
from services.runtime.embedders import MINILM
from services.runtime.errors import InvalidArgument
from services.runtime.labels import is_field
from services.runtime.language.script import Script, script_of

MAX_QUERY = 8192
MAX_LIMIT = 100
DEFAULT_LIMIT = 5
MAX_CONDITIONS = 32
MAX_VALUES = 256
LEAST_CANDIDATES = 20

# An English embedder reads, less well, what is written in Latin letters. Of the rest it knows little more than the
# punctuation, so that its cosines there are noise.
WEIGHTS: Mapping[Script, Mapping[Signal, float]] = {
    Script.LATIN: {Signal.DENSE: 1.0, Signal.LEXICAL: 0.4},
    Script.CJK: {Signal.DENSE: 0.0, Signal.LEXICAL: 1.0},
    Script.OTHER: {Signal.DENSE: 0.0, Signal.LEXICAL: 1.0},
}
# Those of an embedder that speaks every language: the best for German, Spanish and Russian on XQuAD, where English and
# Chinese are as good with any from 0.08 to 0.6.
SPOKEN: Mapping[Signal, float] = {Signal.DENSE: 1.0, Signal.LEXICAL: 0.12}


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A checked request: `embed` says whether the query's vector is needed; `lexical` is None where it has no words.

    `candidates` is how many passages each signal is asked for.
    """

    query: str
    script: Script
    limit: int
    candidates: int
    weights: Mapping[Signal, float]
    embed: bool
    lexical: Sparse | None
    filter: DocumentFilter


def plan(request: SearchRequest, languages: frozenset[str] = MINILM.languages) -> SearchPlan:
    """`languages` are those that the collection's embedder speaks, none for all. Raises InvalidArgument for a request
    that passes a limit."""
    query = request.query.strip()
    if not query:
        raise InvalidArgument("the query is empty")
    if len(query) > MAX_QUERY:
        raise InvalidArgument(f"the query has {len(query)} characters; {MAX_QUERY} are the most")
    if not 0 <= request.limit <= MAX_LIMIT:
        raise InvalidArgument(f"limit must be from 0 to {MAX_LIMIT}, not {request.limit}")
    _check(request.filter)
    script = script_of(query)
    weights = _weights(script, request.mode, languages)
    limit = request.limit or DEFAULT_LIMIT
    return SearchPlan(
        query=query,
        script=script,
        limit=limit,
        candidates=max(limit, LEAST_CANDIDATES),
        weights=weights,
        embed=weights[Signal.DENSE] > 0,
        lexical=_lexical(query) if weights[Signal.LEXICAL] else None,
        filter=request.filter,
    )


def without_vector(planned: SearchPlan) -> SearchPlan:
    """The same search by BM25 alone."""
    return replace(
        planned, weights=_weights(planned.script, SearchMode.LEXICAL, MINILM.languages), embed=False,
        lexical=planned.lexical or _lexical(planned.query),
    )  # fmt: skip


def _lexical(query: str) -> Sparse | None:
    words = query_vector(query)
    return words if words.indices else None


def _weights(script: Script, mode: SearchMode, languages: frozenset[str]) -> Mapping[Signal, float]:
    if mode is SearchMode.DENSE:
        return {Signal.DENSE: 1.0, Signal.LEXICAL: 0.0}
    if mode is SearchMode.LEXICAL:
        return {Signal.DENSE: 0.0, Signal.LEXICAL: 1.0}
    return WEIGHTS[script] if languages else SPOKEN


def _check(given: DocumentFilter) -> None:
    conditions = [*given.must, *given.must_not]
    if len(conditions) > MAX_CONDITIONS:
        raise InvalidArgument(f"a filter has at most {MAX_CONDITIONS} conditions")
    for condition in conditions:
        _check_condition(condition)


def _check_condition(condition: Condition) -> None:
    if not is_field(condition.field):
        raise InvalidArgument(f"a filter's field is document_id, media_type or metadata.KEY, not {condition.field!r}")
    if not 1 <= len(condition.any_of) <= MAX_VALUES:
        raise InvalidArgument(f"the condition on {condition.field!r} needs 1 to {MAX_VALUES} values")
