"""Class weights, normalised to mean 1 over classes.

Where rare classes weigh more, the mean over molecules is then below 1 (0.25 with 1/n_c on the
training molecules of mesh_drug_class): the loss is smaller as a whole, beside which the same weight
decay counts more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from drugtail.geometry.class_geometry import Geometry, nearest_other_class
from drugtail.runtime.registry import Registry

ClassWeights = Callable[[Any, Tensor, Geometry | None], Tensor]
CLASS_WEIGHTS: Registry[ClassWeights] = Registry("class weights")


@CLASS_WEIGHTS.register("uniform")
def uniform(settings: Any, counts: Tensor, geometry: Geometry | None) -> Tensor:
    """Every class weighs 1.

    Parameters
    ----------
    settings
        Settings of the component.
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


@CLASS_WEIGHTS.register("class_balanced")
def class_balanced(settings: Any, counts: Tensor, geometry: Geometry | None) -> Tensor:
    """w_c ∝ (1 − β) / (1 − β^n_c), the inverse of a class's effective number of molecules.

    Cui et al., CVPR 2019. ``settings.beta`` is β. Parameters and result as in `uniform`. Every
    class has a molecule.
    """
    effective = 1 - settings.beta ** counts.double()
    return mean_one((1 - settings.beta) / effective).float()


@CLASS_WEIGHTS.register("class_distance")
def class_distance(settings: Any, counts: Tensor, geometry: Geometry | None) -> Tensor:
    """Weights from the distances of the last re-clustering; uniform before the first.

    Parameters and result as in `uniform`; formula in `class_distance_weights`.
    ``settings.distances`` leaves one of its two halves out; ``settings.control`` and
    ``settings.spread`` are controls of what the weights do.
    """
    if geometry is None:
        return uniform(settings, counts, None)
    distances = {
        "both": (geometry.class_distance, geometry.subcluster_distance),
        "class": (geometry.class_distance,),
        "subcluster": (geometry.subcluster_distance,),
    }
    chosen = distances[settings.distances]
    if settings.control == "inverted":
        chosen = tuple(-d for d in chosen)
    if settings.spread is None:
        weights = _from_distances(*chosen)
    else:
        weights = _from_distances(
            *(d / spread_temperature(chosen, settings.spread) for d in chosen)
        )
    if settings.control == "permuted":
        return permuted(weights)
    return size_matched(weights, counts) if settings.control == "size_matched" else weights


def permuted(weights: Tensor) -> Tensor:
    """Shuffle weights over the classes; the order follows from the weights, so that it is kept."""
    # Digits that no two refreshes share.
    seed = int(float(weights.double().square().sum()) * 2**40) % 2**40
    order = torch.randperm(len(weights), generator=torch.Generator().manual_seed(seed))
    return weights[order.to(weights.device)]


def size_matched(weights: Tensor, counts: Tensor) -> Tensor:
    """w_c ∝ n_c^−γ with the same largest ratio: γ = ln(max w / min w) / ln(n_max / n_min).

    Equal where all classes have one size.
    """
    sizes = counts.double()
    if bool(sizes.max() == sizes.min()):
        return torch.ones_like(weights)
    # Shares: of classes of nearly one size γ is in the hundreds, and n_c^−γ itself would be 0.
    sizes = sizes / sizes.min()
    gamma = (weights.max() / weights.min()).double().log() / sizes.max().log()
    return mean_one(sizes**-gamma).float()


def spread_temperature(distances: Sequence[Tensor], spread: float) -> float:
    """T for which max w / min w of the weights of distances over T is `spread`.

    It is found by bisection. Where all distances are equal, as with two classes, no T gives
    another ratio than 1, and T is 1.
    """

    def ratio(temperature: float) -> float:
        weights = _from_distances(*(d.double() / temperature for d in distances))
        return float(weights.max() / weights.min())

    if ratio(1e-3) <= 1 + 1e-9:
        return 1.0
    low, high = math.log(1e-4), math.log(1e4)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ratio(math.exp(middle)) > spread else (low, middle)
    return math.exp((low + high) / 2)


@CLASS_WEIGHTS.register("class_separability")
def class_separability(settings: Any, counts: Tensor, geometry: Geometry | None) -> Tensor:
    """w_c ∝ exp(−s_c / T): the less separable a class is, the more it weighs.

    s_c is the mean silhouette of the class's molecules with respect to sub-cluster centroids (see
    `drugtail.geometry.class_geometry.separability`), of its training or its validation molecules.
    Unlike distances between centroids it differs between two classes. Uniform before the first
    re-clustering. A training molecule that is a sub-cluster alone lies on its own centre, so that
    a class of one molecule seems to be the most separable. Parameters and result as in `uniform`.
    """
    if geometry is None:
        return uniform(settings, counts, None)
    value = geometry.separability if settings.of == "train" else geometry.valid_separability
    return mean_one(torch.softmax(-value / settings.temperature, 0))


def class_distance_weights(x: Tensor, labels: Tensor, subclusters: Tensor) -> Tensor:
    """Recalculated weights of Su, Li, Wang (arXiv:2504.04647).

    With d_c the distance of class c's centroid to the nearest other class's, and d'_c the
    smallest distance between a sub-cluster centroid of c and one of any other class, the weight
    is (softmax(−d)_c + softmax(−d')_c) / 2, here times C so that the mean is 1. With two classes
    both weights are 1 for ever, since each class's nearest other class is the same pair. Above
    4,096 sub-clusters d' is found by a search that mostly, but not always, meets the nearest
    (`drugtail.geometry.class_geometry.nearest_centre`).

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
        Weights, [C]; no gradient flows through them.

    Raises
    ------
    ValueError
        If there are fewer than two classes, one has no molecule, a sub-cluster lies in two, or the
        embeddings are not normalised numbers.
    """
    if not torch.allclose(x.norm(dim=1), x.new_ones(len(x)), atol=1e-3):
        raise ValueError("x holds rows whose length is not 1; normalise the embeddings")
    counts = torch.bincount(labels)
    if len(counts) < 2 or not bool(counts.all()):
        raise ValueError(
            f"molecules per class are {counts.tolist()}; two classes or more are needed, numbered "
            "from 0 without gaps"
        )
    # Numbers without molecules would be centres at the origin.
    used, numbered = torch.unique(subclusters, return_inverse=True)
    owner = torch.zeros_like(used).index_put_((numbered,), labels)
    if not torch.equal(owner[numbered], labels):
        raise ValueError("a sub-cluster holds molecules of two classes; number them over all")
    distance, _, subcluster_distance = nearest_other_class(x.detach(), labels, numbered)
    return _from_distances(distance, subcluster_distance)


def mean_one(weights: Tensor) -> Tensor:
    """Scale weights to mean 1."""
    return weights / weights.mean()


def _from_distances(*distances: Tensor) -> Tensor:
    return mean_one(torch.stack([torch.softmax(-d, 0) for d in distances]).mean(0))
