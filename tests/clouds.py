"""Embeddings of classes, and naive computations on them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def points(n: int, dimension: int = 5, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(n, dimension, generator=generator, dtype=dtype), dim=1)


def blobs(sizes: list[int], noise: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Clouds around random directions, and which cloud a point belongs to."""
    centres = points(len(sizes), 16, seed + 100)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    x = normalize(centres[labels] + noise * points(len(labels), 16, seed), dim=1)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    return x[order], labels[order]
