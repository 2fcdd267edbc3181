"""Rows of different lengths, cut out and joined by index arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def cut(
    start: Tensor, counts: Tensor, molecules: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Concatenate start[m] .. start[m] + counts[m] - 1 over the molecules m of each seed.

    Returns
    -------
    position : Tensor
        int64 [S, size]; 0 beyond the last molecule.
    first : Tensor
        Where each molecule begins, and where the last one ends, int64 [S, B + 1].
    owner : Tensor
        Which molecule each place belongs to, int64 [S, size]; B beyond the last.
    """
    first = nn.functional.pad(counts[molecules].cumsum(1), (1, 0))
    owner = numbers(torch.diff(first, append=first.new_full((len(first), 1), size)), size)
    shift = nn.functional.pad(start[molecules], (0, 1)) - first
    place = torch.arange(size, device=first.device)
    position = (place + shift.gather(1, owner)).where(owner < molecules.shape[1], 0)
    return position, first, owner


def numbers(counts: Tensor, total: int) -> Tensor:
    """Each number 0 .. n - 1 as often as `counts`, int64 [S, n], says; [S, total]."""
    seeds, n = counts.shape
    number = torch.arange(n, device=counts.device).repeat(seeds)
    # The length is given so that a GPU need not be waited for.
    repeated = number.repeat_interleave(counts.flatten(), output_size=seeds * total)
    return repeated.view(seeds, total)
