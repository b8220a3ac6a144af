"""A Llama's GGUF file as a checkpoint in Hugging Face form: weights in bfloat16, tokenizer, chat template."""

import json
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, TokenType, dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE

PRE_TOKENIZER = "smollm"
OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
# As the model's makers advise.
SAMPLING = {"do_sample": True, "temperature": 0.2, "top_p": 0.9}


class UnknownForm(ValueError):
    """The file holds something that is not understood here."""


def convert(source: Path, template: Path, folder: Path) -> None:
    """Write FOLDER. Raises UnknownForm."""
    reader = GGUFReader(source)
    values = {name: field.contents() for name, field in reader.fields.items()}
    if values["general.architecture"] != "llama" or values["tokenizer.ggml.pre"] != PRE_TOKENIZER:
        raise UnknownForm(f"{source} holds another kind of model than the one that is read here")
    folder.mkdir(parents=True)
    save_file(_tensors(reader, values), folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", config(values))
    _write(folder / "generation_config.json", {**_special_ids(values), **SAMPLING})
    _tokenizer(values).save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", _tokenizer_config(values))
    (folder / "chat_template.jinja").write_text(template.read_text("utf-8"), "utf-8")


def config(values: dict[str, Any]) -> dict[str, Any]:
    """The model's shape."""
    heads = values["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "bfloat16",
        "hidden_act": "silu",
        "hidden_size": values["llama.embedding_length"],
        "intermediate_size": values["llama.feed_forward_length"],
        "num_hidden_layers": values["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": values["llama.attention.head_count_kv"],
        "head_dim": values["llama.embedding_length"] // heads,
        "max_position_embeddings": values["llama.context_length"],
        "rms_norm_eps": values["llama.attention.layer_norm_rms_epsilon"],
        "rope_parameters": {"rope_type": "default", "rope_theta": values["llama.rope.freq_base"]},
        "vocab_size": len(values["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": True,
        **_special_ids(values),
    }


def _tensors(reader: GGUFReader, values: dict[str, Any]) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for tensor in reader.tensors:
        weights = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        name, kind = _name(tensor.name)
        if kind in ("attn_q", "attn_k"):
            heads = values["llama.attention.head_count" + ("_kv" if kind == "attn_k" else "")]
            weights = unpermuted(weights, heads)
        tensors[name] = weights.to(torch.bfloat16).contiguous()
    return tensors


def _name(name: str) -> tuple[str, str]:
    """What Hugging Face calls a tensor, and its kind. Raises UnknownForm."""
    if name in OUTER:
        return OUTER[name], ""
    match name.split("."):
        case ["blk", layer, kind, "weight"] if kind in LAYER:
            return f"model.layers.{layer}.{LAYER[kind]}.weight", kind
    raise UnknownForm(f"the tensor {name} is not known")


def unpermuted(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows [rows, columns] in Hugging Face's order: GGUF has the two halves of each rotation side by side."""
    rows, columns = weights.shape
    return weights.reshape(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _tokenizer(values: dict[str, Any]) -> Tokenizer:
    tokens: list[str] = values["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in values["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(BPE({token: number for number, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [
        token
        for token, kind in zip(tokens, values["tokenizer.ggml.token_type"], strict=True)
        if kind == TokenType.CONTROL
    ]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in control])
    return tokenizer


def _tokenizer_config(values: dict[str, Any]) -> dict[str, Any]:
    tokens = values["tokenizer.ggml.tokens"]
    special = {name.replace("_id", ""): tokens[number] for name, number in _special_ids(values).items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": values["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "unk_token": tokens[values["tokenizer.ggml.unknown_token_id"]],
        **special,
    }


def _special_ids(values: dict[str, Any]) -> dict[str, int]:
    return {
        "bos_token_id": values["tokenizer.ggml.bos_token_id"],
        "eos_token_id": values["tokenizer.ggml.eos_token_id"],
        "pad_token_id": values["tokenizer.ggml.padding_token_id"],
    }


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
