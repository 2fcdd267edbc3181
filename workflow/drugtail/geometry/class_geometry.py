"""Geometry of the training set in embedding space: sub-clusters, distances between classes.

Su, Li, Wang, "Sub-Clustering for Class Distance Recalculation in Long-Tailed Drug
Classification", arXiv:2504.04647 (2025).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.geometry.balanced_kmeans import divide, group_means, subcluster_counts

# Entries of a block of distances, 64 MiB in float32.
BLOCK = 2**24
# Up to so many centres the nearest one is found by comparing with all of them; beyond, centres
# are gathered in groups and only the nearest groups are looked into.
EXACT_CENTRES = 4096
GROUP = 64
PROBES = 16
# Distances of unit vectors below this are rounding errors.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Geometry:
    """Geometry of the training set in embedding space at one re-clustering.

    Attributes
    ----------
    subclusters : Tensor
        Sub-cluster of each training molecule, int64 [N], numbered over all classes.
    subcluster_count : Tensor
        Sub-clusters per class, int64 [C].
    centroids : Tensor
        Mean embedding of each class, [C, D].
    nearest_class : Tensor
        Class with the nearest centroid, int64 [C].
    class_distance : Tensor
        Distance to that centroid, [C].
    subcluster_distance : Tensor
        Smallest distance of a sub-cluster centroid to one of another class, [C].
    spread : Tensor
        φ of `class_spread`, [C].
    separability : Tensor
        Mean silhouette of the class's training molecules, see `separability`, [C].
    valid_separability : Tensor
        The same of its validation molecules, with respect to the sub-clusters of the training
        molecules; a class without validation molecules has that of its training molecules. [C].
    """

    subclusters: Tensor
    subcluster_count: Tensor
    centroids: Tensor
    nearest_class: Tensor
    class_distance: Tensor
    subcluster_distance: Tensor
    spread: Tensor
    separability: Tensor
    valid_separability: Tensor


def cluster_classes(
    x: Tensor,
    labels: Tensor,
    *,
    sizes: Tensor | None = None,
    minimum_size: int = 10,
    balanced: bool = True,
    rounds: int = 50,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Tensor:
    """Cut every class into sub-clusters of about the size of the smallest class.

    Parameters
    ----------
    x
        L2-normalised embeddings of the training set, [N, D].
    labels
        Their classes, int64 [N]; every class occurs.
    sizes
        Class sizes that the number of sub-clusters follows from, int64 [C]; by default those of
        the training set.
    minimum_size
        δ: the size limit is U = max(n_min, δ), a class of n gets max(1, ⌊n/U⌋) sub-clusters.
    balanced
        Whether no sub-cluster of a class may exceed its share, ⌈n/K⌉ molecules.
    rounds, tolerance
        Of `balanced_kmeans`.
    seed
        Seed of the clustering.

    Returns
    -------
    Tensor
        Sub-cluster of each molecule, int64 [N], numbered class after class; some numbers may be
        empty.
    """
    counts = torch.bincount(labels)
    number = subcluster_counts(counts if sizes is None else sizes, minimum_size)
    capacity = -(-counts // number) if balanced else counts
    return divide(x, labels, number, capacity, seed=seed, rounds=rounds, tolerance=tolerance)


def take_geometry(
    x: Tensor, labels: Tensor, valid: Tensor, valid_labels: Tensor, subclusters: Tensor
) -> Geometry:
    """Measure how classes and their sub-clusters lie.

    Parameters
    ----------
    x
        L2-normalised embeddings of the training set, [N, D].
    labels
        Their classes, int64 [N]; every class occurs.
    valid, valid_labels
        The same of the validation molecules, [V, D] and int64 [V].
    subclusters
        Sub-cluster of each training molecule, int64 [N], numbered class after class, each of one
        class only; see `cluster_classes`.
    """
    classes = int(labels.max()) + 1
    # Identical molecules can leave a place empty; an empty sub-cluster has no centre.
    used, subclusters = torch.unique(subclusters, return_inverse=True)
    owner = torch.empty_like(used)
    owner[subclusters] = labels
    centres = group_means(x, subclusters, len(used))
    distance, nearest, subcluster_distance = nearest_other_class(x, labels, subclusters)
    own = class_means(silhouettes(x, labels, centres, owner), labels, classes)
    if len(valid):
        held_out = class_means(
            silhouettes(valid, valid_labels, centres, owner), valid_labels, classes
        )
    else:
        held_out = torch.full_like(own, torch.nan)
    return Geometry(
        subclusters=subclusters,
        subcluster_count=torch.bincount(owner, minlength=classes),
        centroids=group_means(x, labels, classes),
        nearest_class=nearest,
        class_distance=distance,
        subcluster_distance=subcluster_distance,
        spread=class_spread(x, labels),
        separability=own,
        valid_separability=torch.where(held_out.isnan(), own, held_out),
    )


def nearest_other_class(
    x: Tensor, labels: Tensor, subclusters: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances between the centroids of classes and of their sub-clusters.

    Parameters
    ----------
    x
        L2-normalised embeddings, [N, D].
    labels
        int64 [N]; every class 0 .. C − 1 occurs, C >= 2.
    subclusters
        int64 [N], numbered over all classes without gaps.

    Returns
    -------
    distance : Tensor
        Distance of each class centroid to the nearest other one, [C].
    nearest : Tensor
        Which class that is, int64 [C].
    subcluster_distance : Tensor
        Smallest distance of a sub-cluster centroid of the class to one of another, [C].
    """
    classes = int(labels.max()) + 1
    number = int(subclusters.max()) + 1
    centres = group_means(x, labels, classes)
    own = torch.arange(classes, device=x.device)
    distance, nearest = nearest_centre(centres, own, centres, own, of_own_class=False)
    owner = torch.zeros(number, dtype=torch.int64, device=x.device)
    owner[subclusters] = labels
    subcentres = group_means(x, subclusters, number)
    per_subcluster, other = nearest_centre(subcentres, owner, subcentres, owner, of_own_class=False)
    smallest = torch.full((classes,), torch.inf, dtype=x.dtype, device=x.device)
    # A distance is one of both its ends; the search from the other end may have missed it.
    smallest.scatter_reduce_(0, owner, per_subcluster, "amin")
    smallest.scatter_reduce_(0, owner[other], per_subcluster, "amin")
    return distance, nearest, smallest


def class_spread(x: Tensor, labels: Tensor) -> Tensor:
    """φ(c): mean distance to the class centroid over log(n_c + 10), clipped, [C].

    Clipped to its 20th and 80th percentile over classes (prototypical contrastive learning, Li et
    al., ICLR 2021, as used by Hou et al., ICCV 2023).
    """
    counts = torch.bincount(labels)
    centres = group_means(x, labels, len(counts))
    mean = class_means((x - centres[labels]).norm(dim=1), labels, len(counts))
    spread = mean / (counts + 10).log()
    low, high = torch.quantile(spread, torch.tensor([0.2, 0.8], device=x.device, dtype=x.dtype))
    return spread.clamp(low, high)


def class_temperatures(geometry: Geometry, temperature: float) -> Tensor:
    """τ2(c) = τ1 · exp(φ(c) / mean φ); τ1 for a class with a single sub-cluster; [C]."""
    spread = geometry.spread
    relative = spread / spread.mean().clamp(min=torch.finfo(spread.dtype).tiny)
    single = geometry.subcluster_count == 1
    return temperature * relative.exp().where(~single, 1.0)


def separability(x: Tensor, labels: Tensor, subclusters: Tensor) -> Tensor:
    """Mean over a class of the silhouettes of its molecules, in [−1, 1]; [C].

    Parameters
    ----------
    x
        L2-normalised embeddings, [N, D].
    labels
        int64 [N]; every class 0 .. C − 1 occurs, C >= 2.
    subclusters
        int64 [N], numbered over all classes without gaps.
    """
    number = int(subclusters.max()) + 1
    owner = torch.zeros(number, dtype=torch.int64, device=x.device)
    owner[subclusters] = labels
    values = silhouettes(x, labels, group_means(x, subclusters, number), owner)
    return class_means(values, labels, int(labels.max()) + 1)


def silhouettes(points: Tensor, labels: Tensor, centres: Tensor, owner: Tensor) -> Tensor:
    """(b − a) / max(a, b) of each point, in [−1, 1].

    a is the distance to the nearest centre of the point's own class, b that to the nearest one of
    any other class: a silhouette (Rousseeuw, 1987) with respect to sub-cluster centroids. Where
    both are 0 to within rounding, it is 0. A point that took part in its centre is a little nearer
    to it for that (the only one of its sub-cluster lies on it), and a class of many centres has a
    near one more easily: points that took no part are the fairer measure.

    Parameters
    ----------
    points, labels
        [N, D] and int64 [N].
    centres, owner
        [K, D], and the class of each, int64 [K]; every class of `labels` has one, and there are
        two classes or more.

    Returns
    -------
    Tensor
        [N].
    """
    a, _ = nearest_centre(points, labels, centres, owner, of_own_class=True)
    b, _ = nearest_centre(points, labels, centres, owner, of_own_class=False)
    larger = torch.maximum(a, b)
    return torch.where(larger > ROUNDING, (b - a) / larger, 0.0)


def class_means(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean of the values of each class, [C]; NaN for a class without any."""
    total = torch.zeros(classes, dtype=values.dtype, device=values.device)
    return total.index_add_(0, labels, values) / torch.bincount(labels, minlength=classes)


def nearest_centre(
    points: Tensor, labels: Tensor, centres: Tensor, owner: Tensor, *, of_own_class: bool
) -> tuple[Tensor, Tensor]:
    """Distance to, and position of, the nearest centre of the own class, or of any other.

    Up to 4,096 centres all of them are compared. Beyond, centres are gathered in groups of 64
    within their class and only the 16 nearest groups of a point are looked into, so that the cost
    stays far below points times centres; the centre found is then mostly, but not always, the
    nearest (tests/benchmarks/clustering.py measures how often, and how much further it lies).

    Parameters
    ----------
    points, labels
        [N, D] and the class of each, int64 [N].
    centres, owner
        [K, D] and the class of each, int64 [K].
    of_own_class
        Whether to search the point's own class or all others.

    Returns
    -------
    distance : Tensor
        [N].
    position : Tensor
        int64 [N], in 0 .. K − 1.
    """
    if len(centres) <= EXACT_CENTRES:
        position = _nearest(points, labels, centres, owner, of_own_class, 1)[:, 0]
    else:
        position = _nearest_by_groups(points, labels, centres, owner, of_own_class)
    return (points - centres[position]).norm(dim=1), position


def _nearest(
    points: Tensor, labels: Tensor, centres: Tensor, owner: Tensor, of_own_class: bool, number: int
) -> Tensor:
    """Positions of the nearest `number` centres by comparing with all, [N, number].

    Where the class has fewer, the remaining positions are those of centres out of question.
    """
    half_square = (centres * centres).sum(dim=1) / 2
    rows = max(1, BLOCK // len(centres))
    found = []
    for start in range(0, len(points), rows):
        part = slice(start, start + rows)
        # The square of the distance, without what is the same for all centres.
        score = torch.addmm(half_square, points[part], centres.T, alpha=-1)
        same = labels[part, None] == owner
        score.masked_fill_(~same if of_own_class else same, torch.inf)
        if number == 1:
            found.append(score.argmin(dim=1, keepdim=True))
        else:
            found.append(score.topk(number, dim=1, largest=False).indices)
    return torch.cat(found)


def _nearest_by_groups(
    points: Tensor, labels: Tensor, centres: Tensor, owner: Tensor, of_own_class: bool
) -> Tensor:
    """Positions of the nearest centres, searched in the nearest groups of centres alone."""
    per_class = torch.bincount(owner)
    number = (-(-per_class // GROUP)).clamp(min=1)
    group = divide(
        F.normalize(centres, dim=1), owner, number, (-(-per_class // number)).clamp(min=1),
        seed=0, rounds=10, tolerance=1e-3,
    )  # fmt: skip
    used, group = torch.unique(group, return_inverse=True)
    group_owner = torch.zeros(len(used), dtype=torch.int64, device=points.device)
    group_owner[group] = owner
    probes = min(PROBES, len(used))
    middle = group_means(centres, group, len(used))
    chosen = _nearest(points, labels, middle, group_owner, of_own_class, probes)

    # Group by group: all its centres against all points that look into it.
    order = chosen.flatten().argsort(stable=True)
    members = group.argsort(stable=True)
    ends = torch.bincount(chosen.flatten(), minlength=len(used)).cumsum(0).tolist()
    limits = torch.bincount(group).cumsum(0).tolist()
    score = torch.empty(chosen.numel(), dtype=points.dtype, device=points.device)
    position = torch.empty_like(order)
    half_square = (centres * centres).sum(dim=1) / 2
    for begin, end, low, high in zip([0, *ends[:-1]], ends, [0, *limits[:-1]], limits, strict=True):
        asked, inside = order[begin:end], members[low:high]
        rows = asked // probes
        values = torch.addmm(half_square[inside], points[rows], centres[inside].T, alpha=-1)
        same = labels[rows, None] == owner[inside]
        values.masked_fill_(~same if of_own_class else same, torch.inf)
        score[asked], best = values.min(dim=1)
        position[asked] = inside[best]
    winner = score.view(-1, probes).argmin(dim=1, keepdim=True)
    return position.view(-1, probes).gather(1, winner)[:, 0]
