"""Sub-clusters of classes: k-means in which no cluster exceeds its share.

Su, Li, Wang, "Sub-Clustering for Class Distance Recalculation in Long-Tailed Drug
Classification", arXiv:2504.04647 (2025), algorithm 1.

Many clusters are made by dividing again and again: a group of points is cut into at most
`BRANCHES` parts, each large enough for its share of the clusters, and the parts are cut in turn.
The cost then grows with N log k and not with N k. All groups of one depth are cut together.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BRANCHES = 16
# Points per part that its centre is looked for with; all points are assigned in the end.
SAMPLE = 32
FULL_ROUNDS = 5


def subcluster_counts(counts: Tensor, minimum_size: int) -> Tensor:
    """K_c = max(1, ⌊n_c / U⌋) with U = max(n_min, minimum_size); int64 [C]."""
    limit = counts.min().clamp(min=minimum_size)
    return (counts // limit).clamp(min=1)


def balanced_kmeans(
    x: Tensor, k: int, *, capacity: int, seed: int, rounds: int = 50, tolerance: float = 1e-3
) -> Tensor:
    """k-means by cosine distance in which no cluster exceeds `capacity`.

    k-means++ start (Arthur, Vassilvitskii, SODA 2007); then assignment within the capacity and
    new centres in turn, until no centre moves further than `tolerance`. Two things differ from the
    paper's algorithm 1, for speed: more than 16 clusters are made by dividing hierarchically, and
    a division of more than 32 points per part finds its centres on a sample of that many, after
    which all points take part in five rounds.

    Parameters
    ----------
    x
        Points, [N, D]; only their directions matter.
    k
        Number of clusters.
    capacity
        Most points of a cluster; k · capacity >= N. N makes it k-means without that limit.
    seed
        Seed of the start; the same seed gives the same clusters.
    rounds
        Most rounds of each division, at least 1.
    tolerance
        Largest movement of a centre at which it stops.

    Returns
    -------
    Tensor
        Cluster of each point, int64 [N], in 0 .. k − 1. Where k · capacity leaves room for it, a
        cluster may be empty: k is the most there can be.

    Raises
    ------
    ValueError
        If the points do not fit into the clusters, or are not finite.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}; at least 1 is needed")
    if not bool(x.isfinite().all()):
        raise ValueError("x holds values that are not finite")
    if k * capacity < len(x):
        raise ValueError(f"{len(x)} points do not fit into {k} clusters of at most {capacity}")
    return divide(
        F.normalize(x, dim=1),
        torch.zeros(len(x), dtype=torch.int64, device=x.device),
        torch.tensor([k], device=x.device),
        torch.tensor([capacity], device=x.device),
        seed=seed, rounds=rounds, tolerance=tolerance,
    )  # fmt: skip


def divide(
    x: Tensor,
    group: Tensor,
    clusters: Tensor,
    capacity: Tensor,
    *,
    seed: int,
    rounds: int,
    tolerance: float,
) -> Tensor:
    """`balanced_kmeans` within each of several groups at once.

    Parameters
    ----------
    x
        L2-normalised points, [N, D].
    group
        Group of each point, int64 [N], in 0 .. G − 1.
    clusters
        Number of clusters of each group, int64 [G].
    capacity
        Most points of a cluster of each group, int64 [G].
    seed, rounds, tolerance
        As in `balanced_kmeans`.

    Returns
    -------
    Tensor
        Cluster of each point, int64 [N], numbered over all groups in their order.
    """
    generator = torch.Generator(device=x.device).manual_seed(seed)
    while int(clusters.max()) > 1:
        branches = torch.tensor([_branches(k) for k in clusters.tolist()], device=x.device)
        parent = torch.arange(len(clusters), device=x.device).repeat_interleave(branches)
        first = branches.cumsum(0) - branches
        rank = torch.arange(len(parent), device=x.device) - first[parent]
        share = clusters[parent] // branches[parent]
        share += rank < clusters[parent] % branches[parent]
        room = share * capacity[parent]
        child = first[group]
        for nodes, size in _alike(torch.bincount(group, minlength=len(clusters)), branches):
            members, valid = _members(group, nodes, size, len(clusters))
            width = int(branches[nodes].max())
            column = torch.arange(width, device=x.device)
            exists = column < branches[nodes, None]
            places = room[(first[nodes, None] + column).clamp(max=len(room) - 1)] * exists
            part = _cut(x, members, valid, places, exists, generator, rounds, tolerance)
            child[members[valid]] += part[valid]
        group, clusters, capacity = child, share, capacity[parent]
    return group


def assign_within_capacity(similarity: Tensor, room: Tensor, node: Tensor | None = None) -> Tensor:
    """Give each point to its most similar cluster that has room.

    All points without a place propose to their best cluster with room at once; each cluster takes
    the most similar ones up to its capacity; the others propose again. Every round fills a
    cluster or places everyone, so there are at most k + 1.

    Parameters
    ----------
    similarity
        [N, k]; −inf where a point must not go.
    room
        Most points of each cluster, int64 [k] or, with `node`, [nodes, k].
    node
        Which row of `room` a point belongs to, int64 [N]; 0 if not given.

    Returns
    -------
    Tensor
        Cluster of each point, int64 [N], in 0 .. k − 1.

    Raises
    ------
    ValueError
        If a node has fewer places than points.
    """
    n, k = similarity.shape
    device = similarity.device
    node = torch.zeros(n, dtype=torch.int64, device=device) if node is None else node
    places = room.view(-1, k).sum(dim=1)
    points = torch.bincount(node, minlength=len(places))
    if bool((points > places).any()):
        tight = int((points - places).argmax())
        raise ValueError(f"{int(points[tight])} points do not fit into {int(places[tight])} places")
    base = node * k
    left = room.reshape(-1).clone()
    assigned = torch.full((n,), -1, dtype=torch.int64, device=device)
    waiting = torch.arange(n, device=device)
    open_ = similarity
    while len(waiting):
        best, choice = open_.max(dim=1)
        place = base[waiting] + choice
        proposals = torch.bincount(place, minlength=len(left))
        # Only where more propose than there is room does their order matter.
        crowded = (proposals > left)[place]
        assigned[waiting[~crowded]] = choice[~crowded]
        rivals = crowded.nonzero()[:, 0]
        if len(rivals):
            # By place and, within it, the most similar first.
            order = rivals[best[rivals].argsort(descending=True, stable=True)]
            order = order[place[order].argsort(stable=True)]
            asked = torch.bincount(place[rivals], minlength=len(left))
            start = asked.cumsum(0) - asked
            rank = torch.arange(len(order), device=device) - start[place[order]]
            accepted = rank < left[place[order]]
            winners, rivals = order[accepted], order[~accepted].sort().values
            assigned[waiting[winners]] = choice[winners]
        left = (left - proposals).clamp(min=0)
        waiting = waiting[rivals]
        full = (left == 0).view(-1, k)[base[waiting] // k]
        open_ = similarity[waiting].masked_fill(full, -torch.inf)
    return assigned


def group_means(x: Tensor, group: Tensor, groups: int) -> Tensor:
    """Mean of the points of each group, [groups, D]; zeros for an empty one."""
    counts = torch.bincount(group, minlength=groups).clamp(min=1)
    total = torch.zeros(groups, x.shape[1], dtype=x.dtype, device=x.device)
    return total.index_add_(0, group, x) / counts[:, None].to(x.dtype)


def _branches(clusters: int) -> int:
    """Into how many parts a group of `clusters` is cut: equal at every depth, at most 16."""
    if clusters <= BRANCHES:
        return clusters
    depth = math.ceil(math.log(clusters) / math.log(BRANCHES) - 1e-9)
    return min(BRANCHES, math.ceil(math.exp(math.log(clusters) / depth) - 1e-9))


def _alike(sizes: Tensor, branches: Tensor) -> list[tuple[Tensor, int]]:
    """Groups to be cut, gathered by similar size, with the largest size of each gathering."""
    to_cut = ((branches > 1) & (sizes > 0)).nonzero()[:, 0]
    # Sizes within a fifth of each other share a table, so that at most a fifth of it is empty.
    step = (sizes[to_cut].double().log() / math.log(1.25)).long()
    gathered = []
    for value in torch.unique(step).tolist():
        nodes = to_cut[step == value]
        gathered.append((nodes, int(sizes[nodes].max())))
    return gathered


def _members(group: Tensor, nodes: Tensor, size: int, groups: int) -> tuple[Tensor, Tensor]:
    """Points of each node, int64 [nodes, size], and which of the places are filled."""
    row = torch.full((groups,), -1, dtype=torch.int64, device=group.device)
    row[nodes] = torch.arange(len(nodes), device=group.device)
    inside = (row[group] >= 0).nonzero()[:, 0]
    node = row[group[inside]]
    order = node.argsort(stable=True)
    inside, node = inside[order], node[order]
    counts = torch.bincount(node, minlength=len(nodes))
    rank = torch.arange(len(node), device=group.device) - (counts.cumsum(0) - counts)[node]
    members = torch.zeros(len(nodes), size, dtype=torch.int64, device=group.device)
    members[node, rank] = inside
    return members, torch.arange(size, device=group.device) < counts[:, None]


def _cut(
    x: Tensor,
    members: Tensor,
    valid: Tensor,
    room: Tensor,
    exists: Tensor,
    generator: torch.Generator,
    rounds: int,
    tolerance: float,
) -> Tensor:
    """Cut each row of points into parts within their room; part of each place, [G, size]."""
    size, width = members.shape[1], room.shape[1]
    centres = None
    if size > SAMPLE * width:
        # Centres are found on a sample; all points then take part in the last rounds.
        drawn = torch.randint(
            2**62, (len(members), SAMPLE * width), generator=generator, device=x.device
        ) % valid.sum(dim=1, keepdim=True)
        some = members.gather(1, drawn)
        scarce = (room * (SAMPLE * width) + room.sum(1, keepdim=True) - 1) // room.sum(
            1, keepdim=True
        )
        centres, _ = _lloyd(
            x[some], torch.ones_like(some, dtype=torch.bool), scarce, exists,
            _spread_out_start(x[some], torch.ones_like(some, dtype=torch.bool), width, generator),
            rounds, tolerance,
        )  # fmt: skip
        rounds = min(rounds, FULL_ROUNDS)
    points = x[members]
    if centres is None:
        centres = _spread_out_start(points, valid, width, generator)
    return _lloyd(points, valid, room, exists, centres, rounds, tolerance)[1]


def _lloyd(
    points: Tensor,
    valid: Tensor,
    room: Tensor,
    exists: Tensor,
    centres: Tensor,
    rounds: int,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """Assignment and new centres in turn, for several sets of points at once.

    Parameters
    ----------
    points, valid
        [G, n, D] and which places are filled, [G, n].
    room, exists
        Most points of each part, and which parts there are, [G, k].
    centres
        Where to start, [G, k, D].

    Returns
    -------
    centres : Tensor
        [G, k, D].
    part : Tensor
        int64 [G, n]; 0 in unfilled places.
    """
    sets, n, _ = points.shape
    k = room.shape[1]
    result = torch.zeros(sets, n, dtype=torch.int64, device=points.device)
    final = centres.clone()
    active = torch.arange(sets, device=points.device)
    absent = ~exists
    for number in range(rounds):
        flat = valid.flatten().nonzero()[:, 0]
        similarity = (points @ centres.transpose(1, 2)).masked_fill(absent[:, None, :], -torch.inf)
        part = torch.zeros(valid.numel(), dtype=torch.int64, device=points.device)
        part[flat] = assign_within_capacity(similarity.view(-1, k)[flat], room, flat // n)
        part = part.view(valid.shape)
        chosen = F.one_hot(part, k).to(points.dtype) * valid[..., None].to(points.dtype)
        moved = F.normalize(chosen.transpose(1, 2) @ points, dim=2)
        # An empty part has no mean; its centre stays where it was.
        moved = torch.where(moved.norm(dim=2, keepdim=True) > 0, moved, centres)
        shift = (moved - centres).norm(dim=2).amax(dim=1)
        centres = moved
        result[active], final[active] = part, centres
        going = shift > tolerance
        if number + 1 == rounds or not bool(going.any()):
            break
        if int(going.sum()) * 2 <= len(going):
            # Most sets have come to rest; only the others go on.
            active, points, valid = active[going], points[going], valid[going]
            room, absent, centres = room[going], absent[going], centres[going]
    return final, result


def _spread_out_start(points: Tensor, valid: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++ by cosine distance for several sets of points, [G, k, D]."""
    row = torch.arange(len(points), device=points.device)
    mass = valid.double()
    nearest = torch.full_like(mass, torch.inf)
    centres = []
    for _ in range(k):
        chosen = torch.multinomial(mass, 1, generator=generator)[:, 0]
        centre = points[row, chosen]
        centres.append(centre)
        distance = 1 - (points @ centre[:, :, None])[..., 0].double()
        nearest = torch.minimum(nearest, distance.clamp(min=0))
        mass = nearest * valid
        # Identical points leave no distance to draw by; then any point serves.
        mass = torch.where(mass.sum(dim=1, keepdim=True) > 0, mass, valid.double())
    return torch.stack(centres, dim=1)
