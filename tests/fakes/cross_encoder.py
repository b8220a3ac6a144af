"""A cross-encoder with random weights, in Hugging Face form."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from services.models.weights import minilm_folder

VOCABULARY = 30522


def make_cross_encoder(folder: Path, **changes: int) -> Path:
    """Fill the folder; `changes` are to its config.json."""
    config = {
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", "hidden_act": "gelu",
        "hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96,
        "max_position_embeddings": 256, "type_vocab_size": 2, "vocab_size": VOCABULARY, "layer_norm_eps": 1e-12,
        "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "pad_token_id": 0, **changes,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    shutil.copy(minilm_folder() / "tokenizer.json", folder / "tokenizer.json")
    width, inner, layers = (int(config[name]) for name in ("hidden_size", "intermediate_size", "num_hidden_layers"))  # type: ignore[call-overload]  # these are numbers
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, width),
        "embeddings.position_embeddings.weight": (int(config["max_position_embeddings"]), width),  # type: ignore[call-overload]
        "embeddings.token_type_embeddings.weight": (2, width),
        **_norm("embeddings.LayerNorm", width),
        **_linear("pooler.dense", width, width),
    }
    for number in range(layers):
        at = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            shapes |= _linear(f"{at}.attention.self.{part}", width, width)
        shapes |= _linear(f"{at}.attention.output.dense", width, width)
        shapes |= _norm(f"{at}.attention.output.LayerNorm", width)
        shapes |= _linear(f"{at}.intermediate.dense", inner, width)
        shapes |= _linear(f"{at}.output.dense", width, inner)
        shapes |= _norm(f"{at}.output.LayerNorm", width)
    named = {f"bert.{name}": shape for name, shape in shapes.items()} | _linear("classifier", 1, width)
    torch.manual_seed(3)
    save_file({name: _random(name, shape) for name, shape in named.items()}, folder / "model.safetensors")
    return folder


def _random(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Large enough for scores that differ."""
    return 1 + 0.1 * torch.randn(shape) if name.endswith("Norm.weight") else 0.15 * torch.randn(shape)


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
