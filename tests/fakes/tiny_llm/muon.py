"""The optimizer Muon (Keller Jordan, 2024) in float32: torch's own computes in bfloat16, which processors without
instructions for it do fifty times as slowly."""

import math
from collections.abc import Iterable

import torch

MOMENTUM = 0.95
# The quintic iteration that brings all singular values near to one, and how often it is done.
A, B, C, TIMES = 3.4445, -4.7750, 2.0315, 5


class Muon(torch.optim.Optimizer):
    """Steps of matrices along their orthogonalized momentum."""

    def __init__(self, matrices: Iterable[torch.nn.Parameter], lr: float) -> None:
        super().__init__(matrices, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                momentum = state["momentum"].lerp_(matrix.grad, 1 - MOMENTUM)
                ahead = matrix.grad.lerp(momentum, MOMENTUM)
                rows, columns = matrix.shape
                matrix.add_(orthogonal(ahead), alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """About U Vᵀ of the matrix U S Vᵀ; its singular values are between 0.5 and 1.5."""
    rows, columns = matrix.shape
    wide = matrix.T if rows > columns else matrix
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(TIMES):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=B, alpha=C), wide, beta=A)
    return wide.T if rows > columns else wide
