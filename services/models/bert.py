"""The network of all-MiniLM-L6-v2 in plain torch: wordpiece ids in, token states out.

It needs torch and safetensors only: importing transformers would cost seconds and hundreds of megabytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as fn
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
        y = fn.linear(x, self.weight, self.bias)
        return fn.gelu(y) if self.gelu else y


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
        return fn.layer_norm(x, (WIDTH,), self.weight, self.bias, EPSILON)


@dataclass(frozen=True, slots=True)
class Padding:
    """Where the real tokens lie in a padded batch: only the attention pays for padding.

    rows: tokens that the linear maps see, the real ones first. at: each row's place in [batch * length]; rows beyond
    the real tokens repeat the first. mask: added to the attention's scores, None when all places are real.
    """

    batch: int
    length: int
    tokens: int
    at: torch.Tensor
    mask: torch.Tensor | None

    @classmethod
    def of(cls, lengths: Sequence[int], dtype: torch.dtype) -> "Padding":
        """The padding of texts of these lengths."""
        batch, length, tokens = len(lengths), max(lengths), sum(lengths)
        real = torch.arange(length) < torch.tensor(lengths)[:, None]
        at = fn.pad(real.flatten().nonzero().squeeze(1), (0, rounded(tokens) - tokens))
        if tokens == batch * length:
            return cls(batch, length, tokens, at, None)
        mask = torch.zeros(real.shape, dtype=dtype).masked_fill_(~real, float("-inf"))
        return cls(batch, length, tokens, at, mask[:, None, None, :])

    def pad(self, flat: torch.Tensor) -> torch.Tensor:
        """[rows, width] to [batch, length, width]."""
        real = flat[: self.tokens]
        if self.mask is None:
            return real.view(self.batch, self.length, -1)
        padded = flat.new_zeros(self.batch * self.length, flat.shape[1])
        return padded.index_copy_(0, self.at[: self.tokens], real).view(self.batch, self.length, -1)

    def strip(self, padded: torch.Tensor) -> torch.Tensor:
        """[batch * length, width] to [rows, width]."""
        return padded if len(self.at) == len(padded) and self.mask is None else padded.index_select(0, self.at)


def rounded(tokens: int) -> int:
    """The next of the few sizes that linear maps run at: oneDNN keeps a compiled kernel for each size it ever saw."""
    step = 16 if tokens <= 64 else 64
    return -(-tokens // step) * step


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer block: attention, then the feed-forward part, each with its residual and norm."""

    qkv: Linear
    out: Linear
    norm1: Norm
    up: Linear
    down: Linear
    norm2: Norm

    def __call__(self, x: torch.Tensor, padding: Padding) -> torch.Tensor:
        qkv = padding.pad(self.qkv(x))
        batch, length, _ = qkv.shape
        q, k, v = qkv.view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        attended = fn.scaled_dot_product_attention(q, k, v, attn_mask=padding.mask)
        x = self.norm1(x + self.out(padding.strip(attended.transpose(1, 2).reshape(batch * length, WIDTH))))
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
    def __call__(self, texts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """The states float32 [tokens, 384] of each text's ids, one forward pass for all."""
        lengths = [len(text) for text in texts]
        padding = Padding.of(lengths, self._dtype)
        spare = len(padding.at) - padding.tokens
        ids = torch.tensor([token for text in texts for token in text] + [0] * spare)
        places = torch.cat([self._positions[:length] for length in (*lengths, *[1] * spare)])
        x = self._norm(fn.embedding(ids, self._words) + places)
        for layer in self._layers:
            x = layer(x, padding)
        return list(torch.split(x[: padding.tokens].float(), lengths))
