"""Augmented views of molecular graphs, as weights of the adjacency matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drugtail.features.packed import Batch
from drugtail.methods.registry import Registry

Views = Callable[[Any, Batch, torch.Generator], Tensor]
VIEWS: Registry[Views] = Registry("views")


@VIEWS.register("edge_drop")
def edge_drop(settings: Any, batch: Batch, generator: torch.Generator) -> Tensor:
    """Two views with edges dropped, rather those that lead to atoms with few bonds.

    The probability of an edge is proportional to (largest log-degree − log-degree of its target
    atom), scaled so that its mean over the batch is the view's rate, and capped. The adjacency
    matrix is normalised anew after dropping; loops stay. As in the authors' code of Su, Li, Wang
    (arXiv:2504.04647), after graph contrastive learning with adaptive augmentation (Zhu et al.,
    WWW 2021).

    Parameters
    ----------
    settings
        ``rates``: mean probability of either view; ``cap``: largest probability.
    batch
        The same molecules twice: all of them for the first view, then all for the second.
    generator
        Source of randomness, on the batch's device.

    Returns
    -------
    Tensor
        Entries of the normalised adjacency matrix, float32 [entries].
    """
    row, column = batch.row, batch.column
    is_bond = row != column
    entries = len(row)
    rates = torch.tensor(settings.rates, device=row.device).repeat_interleave(entries // 2)
    probability = drop_probability(batch.log_degree, is_bond, rates, settings.cap)
    drawn = torch.rand(entries, generator=generator, device=row.device)
    kept = (~is_bond | (drawn >= probability)).float()
    degree = torch.zeros(len(batch.atom_type), device=row.device).index_add_(0, row, kept)
    inverse_root = degree.rsqrt()
    return kept * inverse_root[row] * inverse_root[column]


def drop_probability(log_degree: Tensor, is_bond: Tensor, rates: Tensor, cap: float) -> Tensor:
    """Probability of dropping each entry; 0 for loops.

    Parameters
    ----------
    log_degree
        Log of the target atom's degree, [entries]; anything at loops.
    is_bond
        False at loops, [entries].
    rates
        Mean probability wanted, [entries].
    cap
        Largest probability.
    """
    largest = log_degree.where(is_bond, -torch.inf).max() if len(log_degree) else log_degree.sum()
    room = (largest - log_degree).where(is_bond, 0.0)
    mean = room.sum() / is_bond.sum().clamp(min=1)
    # All targets of one degree leave nothing to prefer: every edge gets the rate itself.
    scaled = torch.where(mean > 0, room / mean, torch.ones_like(room)) * rates
    return scaled.clamp(max=cap).where(is_bond, 0.0)
