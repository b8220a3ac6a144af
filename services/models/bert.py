"""The network of all-MiniLM-L6-v2 in plain torch: wordpiece ids in, token states out.

It needs torch and safetensors only: importing transformers would cost seconds and hundreds of megabytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12

Linear = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class PlainLinear:
    """An affine map, with or without a GELU behind it; every build of torch can run it."""

    weight: torch.Tensor
    bias: torch.Tensor
    gelu: bool

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y = F.linear(x, self.weight, self.bias)
        return F.gelu(y) if self.gelu else y


class PackedLinear:
    """The same by oneDNN: the weight laid out once, the GELU fused into the product."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor, gelu: bool) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        self._bias = bias
        self._after = "gelu" if gelu else "none"

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, self._after, [], "none")
        return y


def linear(weight: torch.Tensor, bias: torch.Tensor, gelu: bool = False) -> Linear:
    """The packed map where this torch and this processor offer it, else the plain one."""
    try:
        packed = PackedLinear(weight, bias, gelu)
        packed(torch.zeros(2, weight.shape[1], dtype=weight.dtype))
        return packed
    except (RuntimeError, AttributeError, NotImplementedError):
        return PlainLinear(weight, bias, gelu)


@dataclass(frozen=True, slots=True)
class Norm:
    """Layer normalisation."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), self.weight, self.bias, EPSILON)


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer block: attention, then the feed-forward part, each with its residual and norm."""

    qkv: Linear
    out: Linear
    norm1: Norm
    up: Linear
    down: Linear
    norm2: Norm

    def __call__(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = self.norm1(x + self.out(attended.transpose(1, 2).reshape(batch, length, WIDTH)))
        return self.norm2(x + self.down(self.up(x)))


class Weights:
    """The checkpoint's tensors by name, in one dtype."""

    def __init__(self, file: Path, dtype: torch.dtype) -> None:
        self._tensors = {name: part.to(dtype) for name, part in load_file(file).items() if part.is_floating_point()}

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[name]

    def norm(self, name: str) -> Norm:
        """A layer normalisation."""
        return Norm(self[f"{name}.weight"], self[f"{name}.bias"])

    def linear(self, *names: str, gelu: bool = False) -> Linear:
        """One map that does the work of several with the same input, their outputs side by side."""
        weight = torch.cat([self[f"{name}.weight"] for name in names])
        return linear(weight, torch.cat([self[f"{name}.bias"] for name in names]), gelu)

    def layer(self, at: str) -> Layer:
        """A transformer block."""
        return Layer(
            qkv=self.linear(*(f"{at}.attention.self.{part}" for part in ("query", "key", "value"))),
            out=self.linear(f"{at}.attention.output.dense"),
            norm1=self.norm(f"{at}.attention.output.LayerNorm"),
            up=self.linear(f"{at}.intermediate.dense", gelu=True),
            down=self.linear(f"{at}.output.dense"),
            norm2=self.norm(f"{at}.output.LayerNorm"),
        )


class Bert:
    """Token ids in, the last layer's states out."""

    def __init__(self, file: Path, dtype: torch.dtype = torch.bfloat16) -> None:
        weights = Weights(file, dtype)
        self._dtype = dtype
        self._words = weights["embeddings.word_embeddings.weight"]
        types = weights["embeddings.token_type_embeddings.weight"]
        self._positions = weights["embeddings.position_embeddings.weight"] + types[0]
        self._norm = weights.norm("embeddings.LayerNorm")
        self._layers = [weights.layer(f"encoder.layer.{number}") for number in range(LAYERS)]

    @torch.inference_mode()
    def __call__(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """States [rows, longest, 384], for ids [rows, longest] of which the first `lengths` [rows] count."""
        longest = ids.shape[1]
        mask = None if int(lengths.min()) == longest else self._mask(lengths, longest)
        x = self._norm(F.embedding(ids, self._words) + self._positions[:longest])
        for layer in self._layers:
            x = layer(x, mask)
        return x

    def _mask(self, lengths: torch.Tensor, longest: int) -> torch.Tensor:
        padding = torch.arange(longest) >= lengths[:, None]
        return torch.zeros(padding.shape, dtype=self._dtype).masked_fill_(padding, float("-inf"))[:, None, None, :]
