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
# Length of the rows that points of one group are laid out in.
ROW = 64


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
        exists = torch.arange(int(branches.max()), device=x.device) < branches[:, None]
        room = torch.zeros_like(exists, dtype=torch.int64)
        room[exists] = share * capacity[parent]
        child = first[group]
        members = (branches > 1)[group].nonzero()[:, 0]
        members = members[group[members].argsort(stable=True)]
        if len(members):
            nodes, node = torch.unique_consecutive(group[members], return_inverse=True)
            child[members] += _cut(x, members, node, room[nodes], generator, rounds, tolerance)
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
    left = room.reshape(-1)
    assigned = torch.empty_like(node)
    waiting, first, open_ = torch.arange(n, device=device), node * k, similarity
    while n:
        best, choice = open_.max(dim=1)
        assigned[waiting] = choice
        place = first + choice
        proposals = torch.bincount(place, minlength=len(left))
        crowded = proposals > left
        # Only where more propose than there is room does their order matter.
        rivals = crowded[place].nonzero()[:, 0]
        if not len(rivals):
            break
        # By place and, within it, the most similar first.
        order = rivals[best[rivals].argsort(descending=True, stable=True)]
        order = order[place[order].argsort(stable=True)]
        place = place[order]
        asked = proposals * crowded
        rank = torch.arange(len(order), device=device) - (asked.cumsum(0) - asked)[place]
        refused = order[rank >= left[place]].sort().values
        left = (left - proposals).clamp(min=0)
        waiting, first = waiting[refused], first[refused]
        full = (left == 0).view(-1, k)[first // k]
        open_ = similarity[waiting].masked_fill_(full, -torch.inf)
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


def _cut(
    x: Tensor,
    members: Tensor,
    node: Tensor,
    room: Tensor,
    generator: torch.Generator,
    rounds: int,
    tolerance: float,
) -> Tensor:
    """Cut each node into parts within their room; part of each of its members.

    Parameters
    ----------
    x
        All points, [N, D].
    members, node
        Which of them are to be cut, and the node of each, ascending; int64 [M].
    room
        Most points of each part, 0 for one that does not exist; int64 [nodes, k].
    """
    width = room.shape[1]
    sizes, enough = torch.bincount(node), SAMPLE * (room > 0).sum(dim=1)
    large = sizes > enough
    drawn, few = torch.ones_like(node, dtype=torch.bool), room
    if bool(large.any()):
        # Centres of large nodes are found on a sample; all points then take part in a few rounds.
        chance = torch.rand(len(node), generator=generator, device=x.device, dtype=torch.float64)
        drawn = chance * sizes[node] < enough[node]
        sample = torch.bincount(node[drawn], minlength=len(sizes))[:, None]
        few = torch.where(large[:, None], -(-room * sample // room.sum(1, keepdim=True)), room)
    points, nodes, place = _table(x, members[drawn], node[drawn])
    start = _spread_out_start(points, nodes < len(room), width, generator, nodes[:, 0])
    centres, found = _lloyd(points, nodes, few, start, rounds, tolerance)
    part = torch.empty_like(node)
    part[drawn] = found.flatten()[place]
    if bool(large.any()):
        again = large[node]
        points, nodes, place = _table(x, members[again], (large.cumsum(0) - 1)[node[again]])
        rounds = min(rounds, FULL_ROUNDS)
        _, found = _lloyd(points, nodes, room[large], centres[large], rounds, tolerance)
        part[again] = found.flatten()[place]
    return part


def _table(x: Tensor, members: Tensor, node: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes of any size in rows of one length, each of which holds points of a single node.

    Returns
    -------
    points : Tensor
        [rows, length, D]; the places at the end of a node's last row hold a point of no meaning.
    nodes : Tensor
        Node of each place, int64 [rows, length]; one more than there are for an empty place.
    place : Tensor
        Place of each member among rows · length, int64 [M].
    """
    sizes = torch.bincount(node)
    rows = -(-sizes // ROW)
    begin, above = sizes.cumsum(0) - sizes, rows.cumsum(0) - rows
    place = torch.arange(len(node), device=x.device) + (above * ROW - begin)[node]
    point = torch.zeros(int(rows.sum()) * ROW, dtype=torch.int64, device=x.device)
    nodes = torch.full_like(point, len(sizes))
    point[place], nodes[place] = members, node
    return x[point].view(-1, ROW, x.shape[1]), nodes.view(-1, ROW), place


def _lloyd(
    points: Tensor,
    nodes: Tensor,
    room: Tensor,
    centres: Tensor,
    rounds: int,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """Assignment and new centres in turn, for several nodes at once.

    Parameters
    ----------
    points, nodes
        As of `_table`.
    room
        Most points of each part, [G, k].
    centres
        Where to start, [G, k, D].

    Returns
    -------
    centres : Tensor
        [G, k, D].
    part : Tensor
        int64 [rows, length]; without meaning in empty places.
    """
    k = room.shape[1]
    final, result = centres.clone(), torch.empty_like(nodes)
    own = torch.arange(len(room), device=points.device)
    row = torch.arange(len(points), device=points.device)
    # Empty places belong to a node of their own, with room for all of them.
    room = torch.cat([room, torch.full_like(room[:1], nodes.numel())])
    for number in range(rounds):
        owner, node = nodes[:, 0], nodes.flatten()
        similarity = points @ centres[owner].transpose(1, 2)
        similarity.masked_fill_((room == 0)[owner, None], -torch.inf)
        part = assign_within_capacity(similarity.view(-1, k), room, node)
        moved = group_means(points.flatten(0, 1), node * k + part, room.numel())
        moved = F.normalize(moved.view(-1, k, points.shape[2])[:-1], dim=2)
        # An empty part has no mean; its centre stays where it was.
        moved = torch.where(moved.norm(dim=2, keepdim=True) > 0, moved, centres)
        shift = (moved - centres).norm(dim=2).amax(dim=1)
        centres = moved
        result[row], final[own] = part.view_as(nodes), centres
        going = shift > tolerance
        if number + 1 == rounds or not bool(going.any()):
            break
        keep = going[owner]
        if int(keep.sum()) * 2 <= len(keep):
            # Most nodes have come to rest; only the others go on.
            own, centres, row, points = own[going], centres[going], row[keep], points[keep]
            going = F.pad(going, (0, 1), value=True)
            nodes, room = (going.cumsum(0) - 1)[nodes[keep]], room[going]
    return final, result


def _spread_out_start(
    points: Tensor,
    valid: Tensor,
    k: int,
    generator: torch.Generator,
    owner: Tensor | None = None,
) -> Tensor:
    """k-means++ by cosine distance for several sets of points, [G, k, D].

    Each row of points is a set or, with `owner` (ascending int64 [rows]), belongs to that one.
    """
    owner = torch.arange(len(points), device=points.device) if owner is None else owner
    end = torch.bincount(owner).cumsum(0) * points.shape[1] - 1
    flat = points.flatten(0, 1)
    nearest = torch.full(valid.shape, 2.0, dtype=torch.float64, device=points.device)
    centres = []
    for _ in range(k):
        # Whole numbers, of which sums are exact; 1 more than the distance, to have something to
        # draw by where points are identical.
        mass = ((nearest * 2**30).long() + 1) * valid
        total = mass.flatten().cumsum(0)
        until = total[end]
        before = F.pad(until[:-1], (1, 0))
        drawn = torch.randint(2**62, until.shape, generator=generator, device=points.device)
        centre = flat[torch.searchsorted(total, before + drawn % (until - before), right=True)]
        centres.append(centre)
        distance = 1 - (points @ centre[owner, :, None])[..., 0].double()
        nearest = torch.minimum(nearest, distance.clamp(min=0))
    return torch.stack(centres, dim=1)
