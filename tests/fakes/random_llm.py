"""Llama-shaped checkpoints with random weights: what they write means nothing, the path that it takes is real."""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = """\
{%- if tools %}<|im_start|>system
Tools: {{ tools | tojson }}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
END = "<|im_end|>"
SPECIAL = ("<|endoftext|>", "<|im_start|>", END)


def make_llm(folder: Path, *, seed: int = 0, context: int = 2048, **shape: Any) -> Path:
    """Writes a model folder in Hugging Face form; `shape` is further of LlamaConfig's fields. Returns the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    vocabulary = _write_tokenizer(folder)
    config = LlamaConfig(
        **{
            "vocab_size": vocabulary, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": context,
            "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0, **shape,
        }
    )  # fmt: skip
    torch.manual_seed(seed)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def _write_tokenizer(folder: Path) -> int:
    """One token a byte, so that every text can be written; returns the size of the vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0], "eos_token": END,
        "pad_token": SPECIAL[0], "chat_template": TEMPLATE, "clean_up_tokenization_spaces": False,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return len(words)


def make_adapter(folder: Path, model: Path, *, rank: int = 4, seed: int = 1) -> Path:
    """Writes a LoRA adapter for a model made here, strong enough to change every answer. Returns the folder."""
    import torch
    from safetensors.torch import save_file

    shape = json.loads((model / "config.json").read_text())
    width, layers = shape["hidden_size"], shape["num_hidden_layers"]
    torch.manual_seed(seed)
    weights = {}
    for layer in range(layers):
        for name in ("q_proj", "v_proj"):
            at = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            weights[f"{at}.lora_A.weight"] = torch.randn(rank, width)
            weights[f"{at}.lora_B.weight"] = torch.randn(width, rank)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    about = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": 32, "bias": "none",
        "target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": str(model),
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return folder
