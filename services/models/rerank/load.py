"""The reranker that a setting names."""

from pathlib import Path

from services.models.device import Device
from services.models.embedders import load as load_embedder
from services.models.rerank.check import LATE_INTERACTION
from services.models.rerank.cross import CrossEncoder
from services.models.rerank.late import LateInteraction
from services.models.rerank.pairs import Reranker
from services.runtime.embedders import MINILM


def load(name: str, device: Device | None = None) -> Reranker:
    """Late interaction, or the cross-encoder of that folder; on that device, by default the processor. Raises
    CannotRerank, WeightsNotFound."""
    if name == LATE_INTERACTION:
        return LateInteraction(load_embedder(MINILM.name, "query", device))
    return CrossEncoder(Path(name), device)
