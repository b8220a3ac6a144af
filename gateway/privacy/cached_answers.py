"""What the cache holds of a data subject: the answers to their calls."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.cache.entry import CHAT, CachedAnswer
from gateway.cache.errors import CacheUnavailable
from gateway.cache.service import AnswerCache
from gateway.cache.store import AnswersGone
from gateway.privacy.model import Counts, DataSubject


class CachedAnswers:
    """A DataSource. What a run has answered is exported with the run."""

    name = "cache"

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache

    async def export(self, whose: DataSubject) -> AsyncGenerator[dict[str, object], None]:
        try:
            async with aclosing(self._cache.all(whose.tenant)) as answers:
                async for answer in answers:
                    if _is_of(answer, whose):
                        yield _item(answer)
        except AnswersGone as error:
            raise CacheUnavailable from error

    async def erase(self, whose: DataSubject) -> AsyncGenerator[Counts, None]:
        try:
            gone = await self._cache.purge(whose.tenant, drop=lambda answer: _is_of(answer, whose))
        except AnswersGone as error:
            raise CacheUnavailable from error
        yield {"cached_answers": gone}


def _item(answer: CachedAnswer) -> dict[str, object]:
    said = {"answer": answer.body.decode()} if answer.kind == CHAT else {}
    return {
        "kind": "cached_answer", "subject": answer.subject, "model": answer.model, "created": answer.created,
        "expires": answer.expires, **said,
    }  # fmt: skip


def _is_of(answer: CachedAnswer, whose: DataSubject) -> bool:
    return whose.subject in ("", answer.subject)
