"""Sub-clusters of classes and the distances between them.

Su, Li, Wang, "Sub-Clustering for Class Distance Recalculation in Long-Tailed Drug
Classification", arXiv:2504.04647 (2025).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS = 4096


@dataclass(frozen=True)
class Geometry:
    """How the training set lies in embedding space at one re-clustering.

    Attributes
    ----------
    subclusters : Tensor
        Sub-cluster of each training molecule, int64 [N], numbered over all classes.
    subcluster_count : Tensor
        Sub-clusters per class, int64 [C].
    nearest_class : Tensor
        Class with the nearest centroid, int64 [C].
    class_distance : Tensor
        Distance to that centroid, [C].
    subcluster_distance : Tensor
        Smallest distance of a sub-cluster centroid to one of another class, [C].
    spread : Tensor
        φ of `class_spread`, [C].
    separability : Tensor
        Mean silhouette of the class's molecules with respect to sub-cluster centroids, [C].
    """

    subclusters: Tensor
    subcluster_count: Tensor
    nearest_class: Tensor
    class_distance: Tensor
    subcluster_distance: Tensor
    spread: Tensor
    separability: Tensor


def take_geometry(
    x: Tensor, labels: Tensor, *, minimum_size: int, rounds: int, tolerance: float, seed: int
) -> Geometry:
    """Cluster every class and measure the distances.

    Parameters
    ----------
    x
        L2-normalised embeddings of the training set, [N, D].
    labels
        Their classes, int64 [N]; every class occurs.
    minimum_size
        δ: the size limit is U = max(n_min, δ), a class of n gets max(1, ⌊n/U⌋) sub-clusters.
    rounds, tolerance
        Of `balanced_kmeans`.
    seed
        Seed of the clustering.
    """
    counts = torch.bincount(labels)
    number = subcluster_counts(counts, minimum_size)
    subclusters = torch.empty_like(labels)
    first = 0
    for label, k in enumerate(number.tolist()):
        members = (labels == label).nonzero()[:, 0]
        capacity = -(-len(members) // k)
        subclusters[members] = first + balanced_kmeans(
            x[members], k, capacity=capacity, seed=seed, rounds=rounds, tolerance=tolerance
        )
        first += k
    # Identical molecules can leave a place empty; an empty sub-cluster has no centre.
    used, subclusters = torch.unique(subclusters, return_inverse=True)
    owner = torch.arange(len(number), device=x.device).repeat_interleave(number)
    number = torch.bincount(owner[used], minlength=len(number))
    distance, nearest, subcluster_distance = nearest_other_class(x, labels, subclusters)
    return Geometry(
        subclusters=subclusters,
        subcluster_count=number,
        nearest_class=nearest,
        class_distance=distance,
        subcluster_distance=subcluster_distance,
        spread=class_spread(x, labels),
        separability=separability(x, labels, subclusters),
    )


def subcluster_counts(counts: Tensor, minimum_size: int) -> Tensor:
    """K_c = max(1, ⌊n_c / U⌋) with U = max(n_min, minimum_size); int64 [C]."""
    limit = counts.min().clamp(min=minimum_size)
    return (counts // limit).clamp(min=1)


def balanced_kmeans(
    x: Tensor, k: int, *, capacity: int, seed: int, rounds: int = 50, tolerance: float = 1e-3
) -> Tensor:
    """k-means by cosine distance in which no cluster exceeds `capacity`.

    k-means++ start; then assignment within the capacity and new centres in turn, until no centre
    moves further than `tolerance`.

    Parameters
    ----------
    x
        L2-normalised points, [N, D].
    k
        Number of clusters.
    capacity
        Most points of a cluster; k · capacity >= N.
    seed
        Seed of the start; the same seed gives the same clusters.
    rounds
        Most rounds.
    tolerance
        Largest movement of a centre at which it stops.

    Returns
    -------
    Tensor
        Cluster of each point, int64 [N], in 0 .. k − 1.

    Raises
    ------
    ValueError
        If the points do not fit into the clusters.
    """
    if k * capacity < len(x):
        raise ValueError(f"{len(x)} points do not fit into {k} clusters of at most {capacity}")
    if k == 1:
        return torch.zeros(len(x), dtype=torch.int64, device=x.device)
    centres = _spread_out_start(x, k, seed)
    for _ in range(rounds):
        assigned = assign_within_capacity(x @ centres.T, capacity)
        moved = F.normalize(_means(x, assigned, k), dim=1)
        # An empty cluster has no mean; it stays where it was.
        moved = torch.where(moved.norm(dim=1, keepdim=True) > 0, moved, centres)
        shift = (moved - centres).norm(dim=1).max()
        centres = moved
        if shift <= tolerance:
            break
    return assigned


def assign_within_capacity(similarity: Tensor, capacity: int) -> Tensor:
    """Give each point to its most similar cluster that has room.

    All points without a place propose to their best cluster with room at once; each cluster takes
    the most similar ones up to its capacity; the others propose again. Every round fills a
    cluster or places everyone, so there are at most k + 1.

    Parameters
    ----------
    similarity
        [N, k].
    capacity
        Most points of a cluster; k · capacity >= N.

    Returns
    -------
    Tensor
        Cluster of each point, int64 [N].
    """
    n, k = similarity.shape
    assigned = torch.full((n,), -1, dtype=torch.int64, device=similarity.device)
    room = torch.full((k,), capacity, dtype=torch.int64, device=similarity.device)
    waiting = torch.arange(n, device=similarity.device)
    while len(waiting):
        offered = similarity[waiting].masked_fill(room == 0, -torch.inf)
        best, choice = offered.max(dim=1)
        order = best.argsort(descending=True, stable=True)
        order = order[choice[order].argsort(stable=True)]
        proposals = torch.bincount(choice, minlength=k)
        first = proposals.cumsum(0) - proposals
        chosen = choice[order]
        rank = torch.arange(len(order), device=order.device) - first[chosen]
        accepted = rank < room[chosen]
        assigned[waiting[order[accepted]]] = chosen[accepted]
        room -= torch.minimum(proposals, room)
        waiting = waiting[order[~accepted]].sort().values
    return assigned


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
    centres = _means(x, labels, classes)
    own = torch.arange(classes, device=x.device)
    distance, nearest = _nearest_of_another(centres, own, centres, own)
    owner = torch.zeros(number, dtype=torch.int64, device=x.device)
    owner[subclusters] = labels
    subcentres = _means(x, subclusters, number)
    per_subcluster, _ = _nearest_of_another(subcentres, owner, subcentres, owner)
    smallest = torch.full((classes,), torch.inf, dtype=x.dtype, device=x.device)
    smallest.scatter_reduce_(0, owner, per_subcluster, "amin")
    return distance, nearest, smallest


def class_spread(x: Tensor, labels: Tensor) -> Tensor:
    """φ(c): mean distance to the class centroid over log(n_c + 10), clipped, [C].

    Clipped to its 20th and 80th percentile over classes (prototypical contrastive learning, Li et
    al., ICLR 2021, as used by Hou et al., ICCV 2023).
    """
    counts = torch.bincount(labels)
    centres = _means(x, labels, len(counts))
    distances = (x - centres[labels]).norm(dim=1)
    mean = torch.zeros_like(centres[:, 0]).index_add_(0, labels, distances) / counts
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
    """Mean over a class of (b − a) / max(a, b), a silhouette in [−1, 1]; [C].

    a is a molecule's distance to its own class's nearest sub-cluster centroid, b its distance to
    the nearest one of any other class.
    """
    number = int(subclusters.max()) + 1
    owner = torch.zeros(number, dtype=torch.int64, device=x.device)
    owner[subclusters] = labels
    centres = _means(x, subclusters, number)
    other, _ = _nearest_of_another(x, labels, centres, owner)
    own = torch.empty_like(other)
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        foreign = labels[rows, None] != owner[None, :]
        own[rows] = torch.cdist(x[rows], centres).masked_fill(foreign, torch.inf).amin(dim=1)
    tiny = torch.finfo(x.dtype).tiny
    silhouette = (other - own) / torch.maximum(other, own).clamp(min=tiny)
    counts = torch.bincount(labels)
    total = torch.zeros(len(counts), dtype=x.dtype, device=x.device)
    return total.index_add_(0, labels, silhouette) / counts


def _nearest_of_another(
    points: Tensor, point_class: Tensor, centres: Tensor, centre_class: Tensor
) -> tuple[Tensor, Tensor]:
    """Distance and position of the nearest centre of another class, a block of rows at a time."""
    distances, positions = [], []
    for start in range(0, len(points), ROWS):
        rows = slice(start, start + ROWS)
        same = point_class[rows, None] == centre_class[None, :]
        block = torch.cdist(points[rows], centres).masked_fill(same, torch.inf)
        distance, position = block.min(dim=1)
        distances.append(distance)
        positions.append(position)
    return torch.cat(distances), torch.cat(positions)


def _means(x: Tensor, group: Tensor, groups: int) -> Tensor:
    """Mean of the points of each group, [groups, D]; zeros for an empty one."""
    counts = torch.bincount(group, minlength=groups).clamp(min=1)
    total = torch.zeros(groups, x.shape[1], dtype=x.dtype, device=x.device)
    return total.index_add_(0, group, x) / counts[:, None].to(x.dtype)


def _spread_out_start(x: Tensor, k: int, seed: int) -> Tensor:
    """k-means++ (Arthur, Vassilvitskii, SODA 2007) by cosine distance, [k, D]."""
    generator = torch.Generator(device=x.device).manual_seed(seed)
    chosen = torch.randint(len(x), (1,), generator=generator, device=x.device)
    positions = [chosen]
    nearest = (1 - x @ x[chosen[0]]).clamp(min=0)
    for _ in range(k - 1):
        # Identical points leave no distance to draw by; then any point serves.
        mass = nearest if bool(nearest.sum() > 0) else torch.ones_like(nearest)
        chosen = torch.multinomial(mass.double(), 1, generator=generator)
        positions.append(chosen)
        nearest = torch.minimum(nearest, (1 - x @ x[chosen[0]]).clamp(min=0))
    return x[torch.cat(positions)]
