"""The embedders that collections may have, by name."""

from collections.abc import Iterable, Iterator, Mapping

from services.retrieval.embedder import Embedder
from services.retrieval.errors import EmbedderNotServed, EmbedderUnknown


class Embedders(Mapping[str, Embedder]):
    """`default` is that of a collection for which none is named. Raises EmbedderUnknown where there is none of that
    name."""

    def __init__(self, embedders: Iterable[Embedder], default: str) -> None:
        self._embedders = {embedder.spec.name: embedder for embedder in embedders}
        self.default = self[default].spec.name

    def __getitem__(self, name: str) -> Embedder:
        """Raises EmbedderUnknown."""
        try:
            return self._embedders[name]
        except KeyError:
            raise EmbedderUnknown(name, self._embedders) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._embedders)

    def __len__(self) -> int:
        return len(self._embedders)

    async def chosen(self, name: str) -> str:
        """The embedder that a new index is to have, the default one for "". Raises EmbedderUnknown, and
        EmbedderNotServed where another than the default is not loaded."""
        embedder = self[name or self.default]
        if embedder.spec.name != self.default and not await embedder.ready():
            raise EmbedderNotServed(embedder.spec.name)
        return embedder.spec.name
