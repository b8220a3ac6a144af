"""The benchmarks' language model: random weights in a realistic shape, for speed alone. What it says means nothing.

125 million parameters in bf16, Llama-shaped: 12 layers, 768 wide, 12 heads of 64, a vocabulary of 32,000.
"""

import argparse
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from services.models import checkpoints
from tests.fakes.tiny_llm import cache, tokenizer

SEED = 5
VOCABULARY = 32_000
CONTEXT = 4096


def bench_llm() -> Path:
    """The folder of the checkpoint, in Hugging Face form; made in some seconds if there is none."""
    inputs = [Path(__file__), Path(tokenizer.__file__), tokenizer.TEMPLATE]
    return checkpoints.kept("bench-llm", cache.key_of(inputs), write)


def write(folder: Path) -> None:
    """Writes weights, tokenizer and chat template."""
    torch.manual_seed(SEED)
    words = tokenizer.train(prose(), VOCABULARY)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=768,
            intermediate_size=2560,
            num_hidden_layers=12,
            num_attention_heads=12,
            num_key_value_heads=12,
            head_dim=64,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    ).to(torch.bfloat16)
    model.save_pretrained(folder)
    words.save_pretrained(folder)


def prose() -> Iterator[str]:
    """English and code enough for a vocabulary of this size: the sources of Python's own library."""
    yield from (path.read_text("utf-8") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")))
    yield (Path(sysconfig.get_path("stdlib")) / "pydoc_data" / "topics.py").read_text("utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.checkpoint", description=__doc__)
    parser.add_argument("--out", type=Path, help="copy the checkpoint to this folder")
    options = parser.parse_args()
    folder = bench_llm()
    print(shutil.copytree(folder, options.out, dirs_exist_ok=True) if options.out else folder)


if __name__ == "__main__":
    main()
