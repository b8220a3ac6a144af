"""BERT's network in plain torch: wordpiece ids in, token states out. Of any depth, width and number of heads; those of
the embedders are the defaults.

It needs torch and safetensors only: importing transformers would cost seconds and hundreds of megabytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path

import torch
import torch.nn.functional as fn
from safetensors.torch import load_file

HEADS = 12
WIDTH = 384
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-12
# Texts of up to so many tokens are attended to together.
PADDED = 48
# Lengths are padded to a multiple of this: oneDNN keeps a compiled kernel for each shape it ever saw.
STEP = 16

# A sum of exponentials up to which its products with values are far from the end of what a float holds.
LARGEST = 1e30

WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Form:
    """What the tensors of a checkpoint do not tell: heads, the norms' epsilon, and what all names begin with."""

    heads: int = HEADS
    epsilon: float = EPSILON
    prefix: str = ""


MINILM_FORM = Form()
PROCESSOR = torch.device("cpu")

Linear = Callable[[torch.Tensor], torch.Tensor]
# Queries, keys and values [3, batch, heads, length, head width] and a mask: [batch, heads, length, head width].
Attention = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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


@cache
def fastest() -> torch.dtype:
    """bfloat16 where this processor multiplies it; elsewhere float32, which is eight times as fast there."""
    try:
        PackedLinear(torch.zeros(16, 16, dtype=torch.bfloat16), torch.zeros(16, dtype=torch.bfloat16), gelu=False)
    except (RuntimeError, AttributeError, NotImplementedError):
        return torch.float32
    return torch.bfloat16


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
    epsilon: float

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return fn.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class Group:
    """Texts whose attention is computed together, padded to one length; the rows from `start` on are theirs.

    at: the rows' places in [batch * length], None for a single text. mask: [batch, 1, 1, length], added to the
    attention's scores. attention: what computes it.
    """

    start: int
    tokens: int
    batch: int
    length: int
    at: torch.Tensor | None
    mask: torch.Tensor
    attention: Attention

    @classmethod
    def of(cls, start: int, lengths: Sequence[int], attention: Attention) -> "Group":
        """The group of texts of these lengths."""
        length = -(-max(lengths) // STEP) * STEP
        real = torch.arange(length) < torch.tensor(lengths)[:, None]
        mask = torch.zeros(real.shape).masked_fill_(~real, float("-inf"))
        at = real.flatten().nonzero().squeeze(1) if len(lengths) > 1 else None
        return cls(start, sum(lengths), len(lengths), length, at, mask[:, None, None, :], attention)

    def to(self, device: torch.device) -> "Group":
        """The same for rows that are there."""
        at = None if self.at is None else self.at.to(device)
        return replace(self, at=at, mask=self.mask.to(device))

    def attend(self, qkv: torch.Tensor, heads: int) -> torch.Tensor:
        """The attention of the group's rows [tokens, 3 * width]: [tokens, width]."""
        width = qkv.shape[1] // 3
        parts = self._pad(qkv).view(self.batch, self.length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        flat = self.attention(parts, self.mask).transpose(1, 2).reshape(-1, width)
        return flat[: self.tokens] if self.at is None else flat.index_select(0, self.at)

    def _pad(self, rows: torch.Tensor) -> torch.Tensor:
        places = self.batch * self.length
        if self.at is None:
            return fn.pad(rows, (0, 0, 0, places - self.tokens))
        return rows.new_zeros(places, rows.shape[1]).index_copy_(0, self.at, rows)


def groups(lengths: Sequence[int]) -> list[Group]:
    """Short texts together, since a call costs more than their padding; each longer one by itself."""
    found: list[Group] = []
    start = 0
    for short, run in groupby(lengths, lambda length: length <= PADDED):
        for together in [list(run)] if short else [[length] for length in run]:
            found.append(Group.of(start, together, short_attention if short else attention))
            start += sum(together)
    return found


def whole(lengths: Sequence[int], at: torch.device) -> list[Group]:
    """All texts together, for a GPU: there a call costs more than the padding of texts that are about as long."""
    return [Group.of(0, lengths, fused_attention).to(at)]


Grouping = Callable[[Sequence[int]], list[Group]]


def rounded(tokens: int) -> int:
    """The next of the few sizes that linear maps run at, for the same reason: closer together where questions are, a
    handful of which share a pass."""
    step = STEP // 2 if tokens <= 64 else STEP if tokens <= 256 else 4 * STEP
    return -(-tokens // step) * step


def attention(heads: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Queries, keys and values [3, 1, heads, length, head width] of one text: [1, heads, length, head width].

    Written out, because torch's own takes three times as long on a CPU for heads as narrow as these; and the weights
    are divided by their sum last, where there is least to divide. The scores are not lowered by each row's largest
    first, but for the one text in twenty that has a score near the exponential's range, 88, or beyond it: what is large
    overflows when it is multiplied by the values, though its sum does not.
    """
    q, k, v = heads[:, 0].contiguous().unbind(0)
    across, added = k.transpose(1, 2), mask[0].to(q.dtype)
    weights = torch.baddbmm(added, q, across).exp_()
    total = weights.sum(-1, keepdim=True)
    if not ((total < LARGEST) & (total > 1 / LARGEST)).all():
        weights = torch.softmax(torch.baddbmm(added, q, across), -1)
        return torch.bmm(weights, v)[None]
    return (torch.bmm(weights, v) / total)[None]


def short_attention(heads: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same for several short texts, [3, batch, heads, length, head width], where torch's own is the faster."""
    q, k, v = heads.float().unbind(0)
    return fn.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0).to(heads.dtype)


def fused_attention(heads: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same in the heads' own type, by one of torch's kernels for GPUs: it asks for no number back, which would make
    the processor wait for the GPU in each layer."""
    q, k, v = heads.unbind(0)
    return fn.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype), scale=1.0)


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer block: attention, then the feed-forward part, each with its residual and norm."""

    heads: int
    qkv: Linear
    out: Linear
    norm1: Norm
    up: Linear
    down: Linear
    norm2: Norm

    def __call__(self, x: torch.Tensor, texts: Sequence[Group]) -> torch.Tensor:
        qkv = self.qkv(x)
        attended = [group.attend(qkv[group.start : group.start + group.tokens], self.heads) for group in texts]
        spare = len(x) - texts[-1].start - texts[-1].tokens
        x = self.norm1(x + self.out(torch.cat([*attended, x.new_zeros(spare, x.shape[1])])))
        return self.norm2(x + self.down(self.up(x)))


class Weights:
    """The checkpoint's tensors by name, on one device in one dtype; but for those of the words, of which a text needs
    few."""

    def __init__(
        self, file: Path, dtype: torch.dtype, form: Form = MINILM_FORM, device: torch.device = PROCESSOR
    ) -> None:
        self._form = form
        self.device = device
        named = {name.removeprefix(form.prefix): part for name, part in load_file(file).items()}
        self._tensors = {
            name: part.to(device, part.dtype if name == WORDS else dtype)
            for name, part in named.items()
            if part.is_floating_point()
        }

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[name]

    @property
    def layers(self) -> list[Layer]:
        """The transformer blocks, however many there are."""
        names = {name.split(".")[2] for name in self._tensors if name.startswith("encoder.layer.")}
        return [self.layer(f"encoder.layer.{number}") for number in range(len(names))]

    def norm(self, name: str) -> Norm:
        """A layer normalisation."""
        return Norm(self[f"{name}.weight"], self[f"{name}.bias"], self._form.epsilon)

    def linear(self, *names: str, gelu: bool = False) -> Linear:
        """One map that does the work of several with the same input, their outputs side by side."""
        weight = torch.cat([self[f"{name}.weight"] for name in names])
        return linear(weight, torch.cat([self[f"{name}.bias"] for name in names]), gelu)

    def attention(self, at: str) -> Linear:
        """Queries, keys and values by one map, the queries scaled as their products are to be."""
        head_width = len(self[f"{at}.query.bias"]) // self._form.heads
        for part in ("weight", "bias"):
            scaled = self._tensors[f"{at}.query.{part}"] / head_width**0.5
            self._tensors[f"{at}.query.{part}"] = scaled
        return self.linear(*(f"{at}.{part}" for part in ("query", "key", "value")))

    def layer(self, at: str) -> Layer:
        """A transformer block."""
        return Layer(
            heads=self._form.heads,
            qkv=self.attention(f"{at}.attention.self"),
            out=self.linear(f"{at}.attention.output.dense"),
            norm1=self.norm(f"{at}.attention.output.LayerNorm"),
            up=self.linear(f"{at}.intermediate.dense", gelu=True),
            down=self.linear(f"{at}.output.dense"),
            norm2=self.norm(f"{at}.output.LayerNorm"),
        )


class Bert:
    """Token ids in, the last layer's states out. It computes where its weights are; `group` says which texts of a pass
    are attended to together."""

    def __init__(self, weights: Weights, group: Grouping = groups) -> None:
        self._device = weights.device
        self._group = group
        self._words = weights[WORDS]
        types = weights["embeddings.token_type_embeddings.weight"]
        self._positions = weights["embeddings.position_embeddings.weight"] + types[0]
        self._second = types[-1] - types[0]
        self._norm = weights.norm("embeddings.LayerNorm")
        self._layers = weights.layers

    @torch.inference_mode()
    def __call__(self, texts: Sequence[Sequence[int]], firsts: Sequence[int] | None = None) -> list[torch.Tensor]:
        """The states float32 [tokens, width] of each text's ids, in the processor's memory; one forward pass for all.
        `firsts`: how many ids of each are of the first of its two parts, where texts are pairs."""
        lengths = [len(text) for text in texts]
        tokens = sum(lengths)
        spare = rounded(tokens) - tokens
        ids = torch.tensor([token for text in texts for token in text] + [0] * spare, device=self._device)
        places = torch.cat([self._positions[:length] for length in (*lengths, *[1] * spare)])
        if firsts is not None:
            ahead = [number >= first for first, length in zip(firsts, lengths, strict=True) for number in range(length)]
            places[:tokens][torch.tensor(ahead, device=self._device)] += self._second
        x = self._norm(fn.embedding(ids, self._words).to(places.dtype) + places)
        together = self._group(lengths)
        for layer in self._layers:
            x = layer(x, together)
        return list(torch.split(x[:tokens].float().cpu(), lengths))
