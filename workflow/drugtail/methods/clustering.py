"""Sub-clusters of classes in embedding space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drugtail.geometry.class_geometry import cluster_classes
from drugtail.runtime.registry import Registry

Clustering = Callable[[Any, Tensor, Tensor, int], Tensor]
CLUSTERINGS: Registry[Clustering] = Registry("clustering")


@CLUSTERINGS.register("whole_classes")
def whole_classes(settings: Any, x: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Every class is its own and only sub-cluster.

    Parameters
    ----------
    settings
        Settings of the component.
    x
        L2-normalised embeddings of the training molecules, [N, D].
    labels
        Their classes, int64 [N]; every class occurs.
    seed
        Seed of the clustering.

    Returns
    -------
    Tensor
        Sub-cluster of each molecule, int64 [N], numbered class after class; none lies in two
        classes.
    """
    return labels


@CLUSTERINGS.register("balanced_kmeans")
def balanced_kmeans(settings: Any, x: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Sub-clusters of at most their class's share, see `cluster_classes`.

    Parameters and result as in `whole_classes`; ``settings.minimum_size`` is δ, and with
    ``settings.counted`` of ``oversampled`` class sizes are those after over-sampling every class
    to the largest.
    """
    return _kmeans(settings, x, labels, seed, balanced=True)


@CLUSTERINGS.register("kmeans")
def kmeans(settings: Any, x: Tensor, labels: Tensor, seed: int) -> Tensor:
    """As many sub-clusters as `balanced_kmeans`, of any size; parameters and result as there."""
    return _kmeans(settings, x, labels, seed, balanced=False)


def _kmeans(settings: Any, x: Tensor, labels: Tensor, seed: int, *, balanced: bool) -> Tensor:
    counts = torch.bincount(labels)
    oversampled = settings.counted == "oversampled"
    return cluster_classes(
        x,
        labels,
        sizes=counts.max().expand_as(counts) if oversampled else None,
        minimum_size=settings.minimum_size,
        balanced=balanced,
        rounds=settings.rounds,
        tolerance=settings.tolerance,
        seed=seed,
    )
