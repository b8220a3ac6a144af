"""What a query is worth asking with: checked, its language told, its words and identifiers found."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from math import isfinite

from services.retrieval.language.words import query_vector
from services.retrieval.model import Condition, DocumentFilter, SearchMode, SearchRequest, Sparse
from services.retrieval.search.exact import sought
from services.runtime.embedders import MINILM, EmbedderSpec
from services.runtime.errors import InvalidArgument
from services.runtime.labels import LABEL, is_field
from services.runtime.language.detect import language_of
from services.runtime.language.identifiers import Identifier
from services.runtime.language.script import Script, script_of

MAX_QUERY = 8192
MAX_LIMIT = 100
DEFAULT_LIMIT = 5
MAX_CONDITIONS = 64
MAX_DEPTH = 4
MAX_VALUES = 256
LEAST_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A checked request. `language` is an ISO 639-1 code, and `read` whether the embedder reads it. `embed` says
    whether the query's vector is needed, `without_vector` why where it is not. `lexical` is None where it has no words.

    `candidates` is how many passages each signal is asked for, `rerank` how many of the best are reranked.
    """

    query: str
    script: Script
    language: str
    read: bool
    limit: int
    candidates: int
    rerank: int
    embed: bool
    without_vector: str
    lexical: Sparse | None
    identifiers: Sequence[Identifier]
    filter: DocumentFilter


def plan(request: SearchRequest, embedder: EmbedderSpec = MINILM) -> SearchPlan:
    """Raises InvalidArgument for a request that passes a limit."""
    query = request.query.strip()
    if not query:
        raise InvalidArgument("the query is empty")
    if len(query) > MAX_QUERY:
        raise InvalidArgument(f"the query has {len(query)} characters; {MAX_QUERY} are the most")
    if not 0 <= request.limit <= MAX_LIMIT:
        raise InvalidArgument(f"limit must be from 0 to {MAX_LIMIT}, not {request.limit}")
    if not 0 <= request.rerank <= MAX_LIMIT:
        raise InvalidArgument(f"rerank must be from 0 to {MAX_LIMIT}, not {request.rerank}")
    check_filter(request.filter)
    script, language = script_of(query), language_of(query)
    latin = script is Script.LATIN
    read = embedder.reads(language, latin)
    lexical_mode = request.mode is SearchMode.LEXICAL
    # Latin letters tell the embedder something in any language: names, numbers, words that languages share. Of another
    # script it does not read it knows little more than the punctuation, and its cosines are noise.
    embed = not lexical_mode and (read or latin or request.mode is SearchMode.DENSE)
    lexical = None if request.mode is SearchMode.DENSE else _lexical(query)
    limit = request.limit or DEFAULT_LIMIT
    return SearchPlan(
        query=query,
        script=script,
        language=language,
        read=read,
        limit=limit,
        candidates=max(limit, LEAST_CANDIDATES, request.rerank),
        rerank=request.rerank,
        embed=embed,
        without_vector="the search was to use BM25 alone" if lexical_mode else "the embedder does not read the script",
        lexical=lexical,
        identifiers=sought(query) if lexical and request.mode is SearchMode.HYBRID else (),
        filter=request.filter,
    )


def without_vector(planned: SearchPlan) -> SearchPlan:
    """The same search while the embedder is gone."""
    return replace(planned, embed=False, without_vector="the embedder does not answer")


def _lexical(query: str) -> Sparse | None:
    words = query_vector(query)
    return words if words.indices else None


def check_filter(given: DocumentFilter) -> None:
    """Raises InvalidArgument for a filter that passes a limit, or names what there is not."""
    if _size(given) > MAX_CONDITIONS:
        raise InvalidArgument(f"a filter has at most {MAX_CONDITIONS} conditions and nested filters")
    _check(given, MAX_DEPTH)


def _size(given: DocumentFilter) -> int:
    return len(given.must) + len(given.must_not) + sum(1 + _size(one) for one in given.any)


def _check(given: DocumentFilter, depth: int) -> None:
    for condition in (*given.must, *given.must_not):
        _check_condition(condition)
    if given.any and not depth:
        raise InvalidArgument(f"filters are nested at most {MAX_DEPTH} deep")
    for one in given.any:
        _check(one, depth - 1)


def _check_condition(condition: Condition) -> None:
    if not is_field(condition.field):
        raise InvalidArgument(f"a filter's field is document_id, media_type or metadata.KEY, not {condition.field!r}")
    if condition.range is None:
        if not 1 <= len(condition.any_of) <= MAX_VALUES:
            raise InvalidArgument(f"the condition on {condition.field!r} needs 1 to {MAX_VALUES} values")
        return
    if condition.any_of or not condition.field.startswith(LABEL):
        raise InvalidArgument(f"a range is for a label, and without values beside it, not for {condition.field!r}")
    bounds = [one for one in astuple(condition.range) if one is not None]
    if not bounds or not all(map(isfinite, bounds)):
        raise InvalidArgument(f"the range of {condition.field!r} needs a bound, and all of them finite")
