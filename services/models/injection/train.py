"""Train the head, the same one each time: `python -m services.models.injection.train`, with `--folds` to compare
settings on the training part alone, by families left out."""

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as fn
from safetensors.torch import save_file

from services.models.bert import WIDTH
from services.models.device import processor
from services.models.encoder import Encoder
from services.models.injection.evaluation import auc, report
from services.models.injection.examples import HELD_OUT, TRAIN, Example, load
from services.models.injection.features import BUCKETS, SIGNS, TokenWindow, windows
from services.models.injection.head import FILE, Head
from services.models.injection.scoring import Scorer
from services.models.weights import minilm_folder

FOLDS = 6
# Long texts made for each language.
LONG = 24


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How to train. `decay…`: of the weights. `drop`: the share of n-grams and hidden units left out in a step.
    `smooth`: how far the labels are from 0 and 1. `heads`: how many are trained, from different seeds."""

    steps: int = 160
    rate: float = 0.02
    heads: int = 2
    width: int = 32
    decay_grams: float = 2e-4
    decay_embedding: float = 3e-4
    drop: float = 0.3
    smooth: float = 0.02


# Those that --folds compares.
PLANS = (
    TrainingPlan(),
    TrainingPlan(decay_grams=1e-3),
    TrainingPlan(decay_embedding=1e-3),
    TrainingPlan(decay_embedding=4e-3),
    TrainingPlan(drop=0.5),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples as tensors. grams: [n], the buckets of all windows one after another, with `starts` [windows] and each
    one's share [n]; vectors: [windows, 384]; signs: [windows, SIGNS]; text: [windows], the number of each window's
    text; labels, weights: [texts]."""

    grams: torch.Tensor
    starts: torch.Tensor
    shares: torch.Tensor
    vectors: torch.Tensor
    signs: torch.Tensor
    text: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor

    @classmethod
    def of(cls, examples: Sequence[Example], found: Sequence[Sequence[TokenWindow]], vectors: torch.Tensor) -> "Batch":
        flat = [window for each in found for window in each]
        counts = torch.tensor([len(window.grams) for window in flat])
        grams = torch.from_numpy(np.concatenate([window.grams for window in flat]))
        shares = counts.float().rsqrt().repeat_interleave(counts)
        text = torch.tensor([number for number, each in enumerate(found) for _ in each])
        labels = torch.tensor([float(example.attack) for example in examples])
        weights = torch.where(labels > 0, len(labels) / labels.sum() / 2, len(labels) / (1 - labels).sum() / 2)
        signs = torch.from_numpy(np.array([window.signs for window in flat]))
        return cls(grams, counts.cumsum(0) - counts, shares, vectors, signs, text, labels, weights)


class Net(torch.nn.Module):
    """The head while it learns."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.grams = torch.nn.Parameter(torch.zeros(BUCKETS))
        self.signs = torch.nn.Parameter(torch.zeros(SIGNS))
        self.hidden = torch.nn.Parameter(torch.randn(width, WIDTH) * 0.1)
        self.hidden_bias = torch.nn.Parameter(torch.zeros(width))
        self.out = torch.nn.Parameter(torch.randn(width) * 0.1)
        self.bias = torch.nn.Parameter(torch.zeros(1))

    def forward(self, batch: Batch, drop: float = 0.0) -> torch.Tensor:
        """The logits [texts]: of each text's worst window."""
        shares = fn.dropout(batch.shares, drop, drop > 0)
        grams = fn.embedding_bag(batch.grams, self.grams[:, None], batch.starts, mode="sum", per_sample_weights=shares)
        surface = grams.squeeze(1) + batch.signs @ self.signs
        hidden = torch.relu(batch.vectors @ self.hidden.T + self.hidden_bias)
        logits = surface + fn.dropout(hidden, drop, drop > 0) @ self.out + self.bias
        worst = torch.full((len(batch.labels),), -torch.inf)
        return worst.scatter_reduce(0, batch.text, logits, "amax")


def fit(batch: Batch, plan: TrainingPlan) -> Net:
    """The head that these examples teach, the mean of several; always the same from the same."""
    return mean([_fit(batch, plan, seed) for seed in range(plan.heads)])


def mean(nets: Sequence[Net]) -> Net:
    """One net whose logits are the mean of these nets' own: their hidden units side by side."""
    with torch.no_grad():
        made = Net(sum(len(net.out) for net in nets))
        for name in ("grams", "signs", "bias"):
            getattr(made, name).copy_(torch.stack([getattr(net, name) for net in nets]).mean(0))
        for name in ("hidden", "hidden_bias"):
            getattr(made, name).copy_(torch.cat([getattr(net, name) for net in nets]))
        made.out.copy_(torch.cat([net.out for net in nets]) / len(nets))
    return made.eval()


def _fit(batch: Batch, plan: TrainingPlan, seed: int) -> Net:
    torch.manual_seed(seed)
    net = Net(plan.width)
    optimizer = torch.optim.Adam(net.parameters(), lr=plan.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.steps)
    wanted = batch.labels * (1 - 2 * plan.smooth) + plan.smooth
    for _ in range(plan.steps):
        optimizer.zero_grad()
        loss = fn.binary_cross_entropy_with_logits(net(batch, plan.drop), wanted, batch.weights)
        decay = plan.decay_grams * net.grams.square().sum() + plan.decay_embedding * (
            net.hidden.square().sum() + net.out.square().sum() + net.signs.square().sum()
        )
        (loss + decay).backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        schedule.step()
    return net


def embedded(encoder: Encoder, found: Sequence[Sequence[TokenWindow]]) -> torch.Tensor:
    """The windows' embeddings, one after another."""
    return torch.from_numpy(np.array([one.vector for one in encoder.encode([w.text for e in found for w in e])]))


def lengthened(examples: Sequence[Example]) -> list[Example]:
    """The examples, and long harmless texts made of harmless documents: a text with many windows is to be no worse."""
    chosen = random.Random(0)  # noqa: S311 (no secret: the same texts each time)
    made = []
    for language in sorted({example.language for example in examples}):
        parts = [e.text for e in examples if not e.attack and e.kind == "document" and e.language == language]
        for number in range(min(LONG, 3 * len(parts))):
            text = " ".join(chosen.sample(parts, min(len(parts), chosen.randint(4, 9))))
            made.append(Example(text, False, f"long-{number % FOLDS}", "document", language))
    return [*examples, *made]


def fold_of(example: Example) -> int:
    """A family is left out as a whole."""
    return crc32(example.family.encode()) % FOLDS


def folds(encoder: Encoder, plans: Sequence[TrainingPlan]) -> None:
    """Print how each plan does on training families that it did not see."""
    examples = lengthened(load(TRAIN))
    found = [windows(example.text) for example in examples]
    vectors = list(torch.split(embedded(encoder, found), [len(each) for each in found]))
    parts = []
    for fold in range(FOLDS):
        seen = [n for n, example in enumerate(examples) if fold_of(example) != fold]
        left = [n for n, example in enumerate(examples) if fold_of(example) == fold]
        parts.append([_part(examples, found, vectors, numbers) for numbers in (seen, left)])
    for plan in plans:
        scores, labels = [], []
        for seen_part, left_part in parts:
            net = fit(seen_part, plan)
            scores.append(torch.sigmoid(net(left_part)).detach().numpy())
            labels.append(left_part.labels.numpy() > 0)
        each = [auc(one, of) for one, of in zip(scores, labels, strict=True)]
        whole = auc(np.concatenate(scores), np.concatenate(labels))
        sys.stdout.write(f"{plan}: AUC {whole:.4f}, of folds {np.mean(each):.4f}\n")


def _part(
    examples: Sequence[Example],
    found: Sequence[Sequence[TokenWindow]],
    vectors: Sequence[torch.Tensor],
    of: Sequence[int],
) -> Batch:
    return Batch.of([examples[n] for n in of], [found[n] for n in of], torch.cat([vectors[n] for n in of]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the head of the injection model.")
    parser.add_argument("--folds", action="store_true", help="compare settings on the training part instead")
    options = parser.parse_args()
    encoder = Encoder(minilm_folder(), processor(torch.float32))
    if options.folds:
        folds(encoder, PLANS)
        return
    examples = lengthened(load(TRAIN))
    found = [windows(example.text) for example in examples]
    net = fit(Batch.of(examples, found, embedded(encoder, found)), TrainingPlan())
    save_file({name: value.detach().contiguous() for name, value in net.named_parameters()}, FILE)
    held_out = load(HELD_OUT)
    scorer = Scorer(lambda texts: np.array([one.vector for one in encoder.encode(texts)]), Head.load())
    for line in report(held_out, scorer.scores([example.text for example in held_out])):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
