"""Whether a reranker can be served, found out from its folder before anything is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LATE_INTERACTION = "late-interaction"
ARCHITECTURE = "BertForSequenceClassification"
FILES = ("config.json", "model.safetensors", "tokenizer.json")


class CannotRerank(ValueError):
    """The reranker cannot be served; the message says why, and what can be."""


@dataclass(frozen=True, slots=True)
class CrossEncoderConfig:
    """What config.json says of a cross-encoder: its heads, the epsilon of its norms, the longest input in tokens."""

    heads: int
    epsilon: float
    positions: int


def check_reranker(name: str) -> str:
    """The reranker as the model server is to be given it: LATE_INTERACTION, or a folder's whole path. Raises
    CannotRerank."""
    if name == LATE_INTERACTION:
        return name
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise CannotRerank(f"{name} is neither {LATE_INTERACTION} nor the folder of a cross-encoder")
    read_config(folder)
    return str(folder.absolute())


def read_config(folder: Path) -> CrossEncoderConfig:
    """The configuration of the cross-encoder in a folder. Raises CannotRerank where it is none, or none that is read
    here."""
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise CannotRerank(f"{folder} is not a cross-encoder in Hugging Face form: it has no {', no '.join(missing)}")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        _require_readable(folder, config)
        return CrossEncoderConfig(
            heads=int(config["num_attention_heads"]),
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
            positions=int(config["max_position_embeddings"]),
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise CannotRerank(f"{folder}/config.json cannot be read: {error!r}") from error


def _require_readable(folder: Path, config: dict[str, Any]) -> None:
    architectures = config.get("architectures") or ["none"]
    if architectures != [ARCHITECTURE]:
        raise CannotRerank(
            f"{folder} is of the architecture {', '.join(architectures)}, which is not read here: name a folder of "
            f"{ARCHITECTURE} with one label, such as ms-marco-MiniLM-L6-v2, or {LATE_INTERACTION}"
        )
    labels = len(config["id2label"]) if "id2label" in config else config.get("num_labels", 2)
    if labels != 1:
        raise CannotRerank(f"{folder} has {labels} labels: a reranker has one, the score")
    for name, value in (("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if config.get(name, value) != value:
            raise CannotRerank(f"{folder} has {name} {config[name]}, which is not read here: only {value} is")
