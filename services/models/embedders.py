"""What is loaded of an embedder: the folder of its weights, and what it wants read before a query and a passage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from services.models import e5
from services.models.device import Device
from services.models.encoder import Encoder
from services.models.weights import minilm_folder
from services.runtime.embedders import E5, MINILM


@dataclass(frozen=True, slots=True)
class EmbedderFiles:
    """find: raises WeightsNotFound where its package is not installed. folder: the same, and makes what is missing.
    prefixes: by "query" and "passage"."""

    find: Callable[[], Path]
    folder: Callable[[], Path]
    prefixes: Mapping[str, str] = field(default_factory=dict)


FILES: Mapping[str, EmbedderFiles] = {
    MINILM.name: EmbedderFiles(minilm_folder, minilm_folder),
    E5.name: EmbedderFiles(e5.weights, e5.e5_folder, {"query": "query: ", "passage": "passage: "}),
}


def load(name: str, reads: Literal["query", "passage"], device: Device | None = None) -> Encoder:
    """The embedder of that name, to read that, "query" or "passage", on that device, by default the processor. Raises
    WeightsNotFound."""
    files = FILES[name]
    return Encoder(files.folder(), device, files.prefixes.get(reads, ""))
