"""Augmented views of molecules: other values of the parts of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from drugtail.features.bits import BitBatch
from drugtail.features.graph_and_vector import GraphAndVectorBatch
from drugtail.features.packed import GraphBatch
from drugtail.features.vectors import VectorBatch
from drugtail.runtime.draws import Draws
from drugtail.runtime.registry import Registry

# A batch of one seed -> what `Batch.viewed` puts in the place of its values: a tensor, or a pair of
# them where there is a vector beside a graph.
Views = Callable[[Any, Any, Draws], Any]
VIEWS: Registry[Views] = Registry("views")


@VIEWS.register("drop")
def drop(settings: Any, batch: Any, draws: Draws) -> Tensor | tuple[Tensor, Tensor]:
    """Two views with a random part left out: bonds, bits that are set, or numbers.

    Parameters
    ----------
    settings
        ``rates``: mean share left out of either view; ``cap``: largest probability of a bond.
    batch
        Of one seed: the same molecules twice, all of them for the first view, then all for the
        second.
    draws
        Source of randomness.

    Returns
    -------
    Tensor, or a tuple of two
        Entries of the normalised adjacency matrix, float32 [entries]; of fingerprints the values
        of their bits, [entries]; of vectors their values, [2 B, F]; of graphs with vectors both.
    """
    if isinstance(batch, GraphAndVectorBatch):
        return (
            _drop_edges(settings, batch.graph, draws),
            _drop_numbers(settings, batch.vector, draws),
        )
    if isinstance(batch, GraphBatch):
        return _drop_edges(settings, batch, draws)
    return _drop_numbers(settings, batch, draws)


def _drop_numbers(settings: Any, batch: BitBatch | VectorBatch, draws: Draws) -> Tensor:
    first, second = settings.rates
    half = batch.molecules // 2
    if isinstance(batch, BitBatch):
        rates = torch.where(batch.molecule < half, first, second)
        return batch.value * (draws.uniform(len(batch.value)) >= rates)
    place = torch.arange(batch.molecules, device=batch.values.device)
    rates = torch.where(place < half, first, second)[:, None]
    return batch.values * (draws.uniform(*batch.values.shape) >= rates)


def _drop_edges(settings: Any, batch: GraphBatch, draws: Draws) -> Tensor:
    """Leave edges out, rather those that lead to atoms with few bonds.

    The probability of an edge is proportional to (largest log-degree − log-degree of its target
    atom), scaled so that its mean over the batch is the view's rate, and capped. The adjacency
    matrix is normalised anew after dropping; loops stay. As in the authors' code of Su, Li, Wang
    (arXiv:2504.04647), after graph contrastive learning with adaptive augmentation (Zhu et al.,
    WWW 2021).
    """
    row, column = batch.row, batch.column
    is_bond = row != column
    first, second = settings.rates
    middle = batch.molecule_start[batch.molecules // 2]
    rates = torch.where(row < middle, first, second)
    probability = drop_probability(batch.log_degree, is_bond, rates, settings.cap)
    kept = ~is_bond | (draws.uniform(len(row)) >= probability)
    # A sum of whole numbers is the same in every order, also on a GPU.
    before = nn.functional.pad(kept.long().cumsum(0), (1, 0))
    inverse_root = before[batch.row_start].diff().to(batch.norm.dtype).rsqrt()
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
    largest = log_degree.where(is_bond, -torch.inf).amax()
    room = (largest - log_degree).where(is_bond, 0.0)
    # In double precision a sum hardly depends on how far a graph is filled up.
    mean = (room.sum(dtype=torch.float64) / is_bond.sum().clamp(min=1)).to(room.dtype)
    # All targets of one degree leave nothing to prefer: every edge gets the rate itself.
    scaled = torch.where(mean > 0, room / mean, torch.ones_like(room)) * rates
    return scaled.clamp(max=cap).where(is_bond, 0.0)
