"""LoRA adapters for the tiny model, in the files that PEFT writes and vLLM reads."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

TARGETS = ("q_proj", "v_proj")


def write_adapter(folder: Path, base: Path, rank: int = 8, seed: int = 1, size: float = 1.0) -> Path:
    """Writes a random adapter for the checkpoint at `base`; with the default `size` it changes what the model says.

    `size` 0 makes one that changes nothing.
    """
    config = json.loads((base / "config.json").read_text("utf-8"))
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, torch.Tensor] = {}
    for layer in range(layers):
        for target in TARGETS:
            name = f"base_model.model.model.layers.{layer}.self_attn.{target}"
            weights[f"{name}.lora_A.weight"] = torch.randn(rank, hidden, generator=generator) / rank**0.5
            weights[f"{name}.lora_B.weight"] = torch.randn(hidden, rank, generator=generator) * size / rank**0.5
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(TARGETS),
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2), "utf-8")
    return folder
