"""A model's folder with its linear layers in eight bits, in the form that compressed-tensors reads."""

import json
import shutil
from pathlib import Path
from typing import Any

EIGHT_BITS = {"num_bits": 8, "type": "int", "symmetric": True}
QUANTISATION = {
    "quant_method": "compressed-tensors",
    "format": "int-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {**EIGHT_BITS, "strategy": "channel", "dynamic": False},
            "input_activations": {**EIGHT_BITS, "strategy": "token", "dynamic": True},
        }
    },
}


def quantise(model: Path, folder: Path) -> Path:
    """Writes the model in MODEL to FOLDER: int8 weights with a scale a row, activations quantised as they come."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder, dirs_exist_ok=True)
    weights: dict[str, Any] = {}
    for name, value in load_file(folder / "model.safetensors").items():
        weights |= _int8(name, value) if name.endswith("_proj.weight") else {name: value}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": QUANTISATION}))
    return folder


def _int8(name: str, value: Any) -> dict[str, Any]:
    """Weights [rows, columns] as int8, and their scales [rows, 1]."""
    import torch

    scale = value.float().abs().amax(dim=1, keepdim=True) / 127
    return {name: (value.float() / scale).round().to(torch.int8), f"{name}_scale": scale.to(value.dtype)}
