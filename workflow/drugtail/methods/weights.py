"""Class weights, normalised to mean 1 over classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drugtail.methods.registry import Registry
from drugtail.methods.subclusters import Geometry, nearest_other_class

ClassWeights = Callable[[Any, Tensor, Geometry | None], Tensor]
CLASS_WEIGHTS: Registry[ClassWeights] = Registry("class weights")


@CLASS_WEIGHTS.register("uniform")
def uniform(settings: Any, counts: Tensor, geometry: Geometry | None) -> Tensor:
    """Every class weighs 1.

    Parameters
    ----------
    settings
        Settings of the part.
    counts
        Training molecules per class n, [C].
    geometry
        Distances of the last re-clustering; None before the first, or if the method has none.

    Returns
    -------
    Tensor
        Weights with mean 1, float32 [C].
    """
    return torch.ones(len(counts), device=counts.device)


@CLASS_WEIGHTS.register("cost_sensitive")
def cost_sensitive(settings: Any, counts: Tensor, geometry: Geometry | None) -> Tensor:
    """w_c = (n_min / n_c)^gamma (ImDrug, NeurIPS 2022); parameters and result as in `uniform`."""
    return mean_one((counts.min() / counts.double()) ** settings.gamma).float()


@CLASS_WEIGHTS.register("class_distance")
def class_distance(settings: Any, counts: Tensor, geometry: Geometry | None) -> Tensor:
    """Weights from the distances of the last re-clustering; uniform before the first.

    Parameters and result as in `uniform`; formula in `class_distance_weights`.
    """
    if geometry is None:
        return uniform(settings, counts, None)
    return _from_distances(geometry.class_distance, geometry.subcluster_distance)


def class_distance_weights(x: Tensor, labels: Tensor, subclusters: Tensor) -> Tensor:
    """Recalculated weights of Su, Li, Wang (arXiv:2504.04647).

    With d_c the distance of class c's centroid to the nearest other class's, and d'_c the
    smallest distance between a sub-cluster centroid of c and one of any other class, the weight
    is (softmax(−d)_c + softmax(−d')_c) / 2, here times C so that the mean is 1. With two classes
    both weights are 1 for ever, since each class's nearest other class is the same pair.

    Parameters
    ----------
    x
        L2-normalised embeddings, [N, D].
    labels
        Class of each molecule, int64 [N]; every class 0 .. C − 1 occurs, C >= 2.
    subclusters
        Sub-cluster of each molecule, int64 [N], numbered over all classes.

    Returns
    -------
    Tensor
        Weights, [C].
    """
    # Numbers without molecules would be centres at the origin.
    _, numbered = torch.unique(subclusters, return_inverse=True)
    distance, _, subcluster_distance = nearest_other_class(x, labels, numbered)
    return _from_distances(distance, subcluster_distance)


def mean_one(weights: Tensor) -> Tensor:
    """Scale weights to mean 1."""
    return weights / weights.mean()


def _from_distances(distance: Tensor, subcluster_distance: Tensor) -> Tensor:
    return mean_one((torch.softmax(-distance, 0) + torch.softmax(-subcluster_distance, 0)) / 2)
