"""The reranker behind its model on Triton."""

from collections.abc import Sequence

from services.retrieval.errors import RerankerTimeout, RerankerUnavailable
from services.retrieval.triton_calls import ModelErrors, within
from services.runtime.reranker import RerankerNotServed
from services.runtime.triton import TooManyInferences, TritonClient

ERRORS = ModelErrors("the reranker", RerankerUnavailable, RerankerTimeout, RerankerNotServed)


class TritonReranker:
    """A Reranker. A call has `seconds`, and half of what remains of the search's deadline at most."""

    def __init__(self, client: TritonClient, seconds: float, languages: frozenset[str] = frozenset()) -> None:
        self.languages = languages
        self._client = client
        self._seconds = seconds

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        try:
            found = await within(
                self._seconds, lambda timeout: self._client.rerank(query, texts, timeout=timeout), ERRORS
            )
        except TooManyInferences as error:
            raise RerankerUnavailable(error.message) from error
        return found.scores
