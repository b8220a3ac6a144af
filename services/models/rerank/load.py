"""The reranker that a setting names."""

from pathlib import Path

from services.models.embedders import load as load_embedder
from services.models.rerank.check import LATE_INTERACTION
from services.models.rerank.cross import CrossEncoder
from services.models.rerank.late import LateInteraction
from services.models.rerank.pairs import Reranker
from services.runtime.embedders import MINILM


def load(name: str) -> Reranker:
    """Late interaction, or the cross-encoder of that folder. Raises CannotRerank, WeightsNotFound."""
    if name == LATE_INTERACTION:
        return LateInteraction(load_embedder(MINILM.name, "query"))
    return CrossEncoder(Path(name))
