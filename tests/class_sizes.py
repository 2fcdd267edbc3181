"""Classes of given sizes, and checks of what is drawn from them."""

from __future__ import annotations

import torch
from torch import Tensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shuffled_labels(sizes: list[int], seed: int = 0) -> Tensor:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=seeded(seed))]


LONG_TAIL = [400, 80, 20, 5]
