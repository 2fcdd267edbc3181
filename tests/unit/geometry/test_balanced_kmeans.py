"""Balanced k-means."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from clouds import blobs, points
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from torch import Tensor

from drugtail.geometry import balanced_kmeans as subclusters_module
from drugtail.geometry.balanced_kmeans import (
    assign_within_capacity,
    balanced_kmeans,
    divide,
)


def inertia(x: Tensor, clusters: np.ndarray | Tensor) -> float:
    values, names = x.double().numpy(), np.asarray(clusters)
    return sum(
        float(((values[names == c] - values[names == c].mean(0)) ** 2).sum())
        for c in np.unique(names)
    )


@given(n=st.integers(1, 120), data=st.data(), seed=st.integers(0, 2**62))
@settings(max_examples=80, deadline=None)
def test_no_cluster_exceeds_the_capacity_and_every_point_is_in_one(
    n: int, data: st.DataObject, seed: int
) -> None:
    k = data.draw(st.integers(1, n), label="k")
    capacity = -(-n // k) + data.draw(st.integers(0, 3), label="slack")
    different = data.draw(st.integers(1, n), label="different points")
    x = points(n, 3, dtype=torch.float32)[torch.arange(n) % different]
    clusters = balanced_kmeans(x, k, capacity=capacity, seed=seed)
    assert clusters.dtype == torch.int64
    assert clusters.shape == (n,)
    assert clusters.min() >= 0
    sizes = torch.bincount(clusters, minlength=k)
    assert len(sizes) == k
    assert sizes.max() <= capacity


def test_a_capacity_without_slack_fills_every_cluster() -> None:
    sizes = torch.bincount(balanced_kmeans(points(60), 6, capacity=10, seed=0))
    assert sizes.tolist() == [10] * 6


def test_same_seed_same_clusters_whatever_the_global_generator() -> None:
    x = points(200)
    torch.manual_seed(1)
    first = balanced_kmeans(x, 12, capacity=17, seed=4)
    torch.manual_seed(2)
    assert torch.equal(balanced_kmeans(x, 12, capacity=17, seed=4), first)
    others = [balanced_kmeans(x, 12, capacity=17, seed=seed) for seed in range(5, 9)]
    assert any(not torch.equal(a, b) for a, b in pairwise([first, *others]))


def test_one_cluster_holds_everything() -> None:
    assert balanced_kmeans(points(7), 1, capacity=7, seed=0).tolist() == [0] * 7


def test_as_many_clusters_as_points_gives_each_its_own() -> None:
    assert sorted(balanced_kmeans(points(9), 9, capacity=1, seed=0).tolist()) == list(range(9))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_points_are_still_divided_within_the_capacity(dtype: torch.dtype) -> None:
    x = points(1, dtype=dtype).expand(50, -1)
    sizes = torch.bincount(balanced_kmeans(x, 5, capacity=11, seed=0), minlength=5)
    assert sizes.sum() == 50
    assert sizes.max() <= 11


def test_too_small_a_capacity_is_refused() -> None:
    with pytest.raises(ValueError, match="31 points do not fit into 3 clusters of at most 10"):
        balanced_kmeans(points(31), 3, capacity=10, seed=0)


def test_only_directions_matter() -> None:
    x = points(100, 8)
    length = torch.rand(100, 1, generator=torch.Generator().manual_seed(1), dtype=x.dtype) * 9 + 1
    wanted = balanced_kmeans(x, 10, capacity=10, seed=0)
    assert torch.equal(balanced_kmeans(x * length, 10, capacity=10, seed=0), wanted)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_points_that_are_no_numbers_are_refused(value: float) -> None:
    x = points(60)
    x[7, 2] = value
    with pytest.raises(ValueError, match="not finite"):
        balanced_kmeans(x, 6, capacity=10, seed=0)


def test_without_a_round_nothing_could_be_assigned_and_it_is_refused() -> None:
    with pytest.raises(ValueError, match="rounds is 0"):
        balanced_kmeans(points(60), 6, capacity=10, seed=0, rounds=0)


def test_no_points_and_more_clusters_than_points_are_fine() -> None:
    assert balanced_kmeans(points(0), 3, capacity=1, seed=0).tolist() == []
    assert len(balanced_kmeans(points(4), 9, capacity=1, seed=0).unique()) == 4


def test_separate_clouds_of_the_capacitys_size_are_found() -> None:
    x, clouds = blobs([25] * 6, noise=0.15)
    clusters = balanced_kmeans(x, 6, capacity=25, seed=0)
    # The same partition: one cluster per cloud and the other way round.
    assert len(set(zip(clouds.tolist(), clusters.tolist(), strict=True))) == 6


@pytest.mark.parametrize(
    ("noise", "factor"), [(0.2, 1.05), (1.0, 1.2), (3.0, 1.2)], ids=["clouds", "overlap", "noise"]
)
def test_within_cluster_distance_is_close_to_that_of_plain_kmeans(
    noise: float, factor: float
) -> None:
    x, _ = blobs([40] * 10, noise)
    clusters = balanced_kmeans(x, 10, capacity=44, seed=0)
    plain = KMeans(10, n_init=5, random_state=0).fit_predict(x.numpy())
    assert inertia(x, clusters) <= factor * inertia(x, plain)


@given(n=st.integers(1, 60), k=st.integers(1, 8), slack=st.integers(0, 5), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_a_point_misses_a_more_similar_cluster_only_if_that_is_full_of_more_similar_points(
    n: int, k: int, slack: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    similarity = torch.rand(n, k, generator=generator)
    capacity = -(-n // k) + slack
    assigned = assign_within_capacity(similarity, torch.full((k,), capacity))
    sizes = torch.bincount(assigned, minlength=k)
    assert sizes.max() <= capacity
    for point, own in enumerate(assigned.tolist()):
        for other in range(k):
            if similarity[point, other] > similarity[point, own]:
                assert sizes[other] == capacity
    # Whoever got a first choice that others were refused is at least as similar to it.
    best = similarity.argmax(dim=1)
    for point in range(n):
        if assigned[point] != best[point]:
            rivals = (assigned == best[point]) & (best == best[point])
            assert (similarity[rivals, best[point]] >= similarity[point, best[point]]).all()


def naive_assignment(similarity: list[list[float]], room: list[int]) -> list[int]:
    """Rounds of proposals, written as loops over points and clusters."""
    left, assigned = list(room), [-1] * len(similarity)
    while -1 in assigned:
        proposals: dict[int, list[int]] = {}
        for point, values in enumerate(similarity):
            if assigned[point] == -1:
                open_ = [c for c, places in enumerate(left) if places > 0]
                best = max(open_, key=lambda c: values[c])
                proposals.setdefault(best, []).append(point)
        for cluster, points_ in proposals.items():
            points_.sort(key=lambda point: -similarity[point][cluster])
            for point in points_[: left[cluster]]:
                assigned[point] = cluster
            left[cluster] = max(0, left[cluster] - len(points_))
    return assigned


@given(n=st.integers(1, 40), k=st.integers(1, 8), slack=st.integers(0, 5), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_assignment_is_that_of_loops_over_points_and_clusters(
    n: int, k: int, slack: int, seed: int
) -> None:
    similarity = torch.rand(n, k, generator=torch.Generator().manual_seed(seed))
    room = torch.full((k,), -(-n // k) + slack)
    wanted = naive_assignment(similarity.tolist(), room.tolist())
    assert assign_within_capacity(similarity, room).tolist() == wanted


def naive_kmeans(x: np.ndarray, start: np.ndarray, capacity: int, rounds: int) -> list[int]:
    """Assignment and new centres in turn, until none moves further than 1e-3."""
    centres = [c / np.linalg.norm(c) for c in start]
    for _ in range(rounds):
        similarity = [[float(point @ centre) for centre in centres] for point in x]
        assigned = naive_assignment(similarity, [capacity] * len(centres))
        moved = []
        for c, centre in enumerate(centres):
            members = [point for point, own in zip(x, assigned, strict=True) if own == c]
            total = np.sum(members, axis=0) if members else centre
            moved.append(total / np.linalg.norm(total))
        shift = max(np.linalg.norm(a - b) for a, b in zip(moved, centres, strict=True))
        centres = moved
        if shift <= 1e-3:
            break
    return assigned


@pytest.mark.parametrize("rounds", [1, 2, 50])
@pytest.mark.parametrize(("k", "capacity"), [(1, 60), (4, 15), (4, 22), (7, 9), (7, 60)])
@pytest.mark.parametrize("seed", range(3))
def test_balanced_kmeans_is_that_of_loops_from_the_same_start(
    k: int, capacity: int, rounds: int, seed: int
) -> None:
    x = points(60, 5, seed)
    generator = torch.Generator().manual_seed(seed)
    valid = torch.ones(1, 60, dtype=torch.bool)
    start = subclusters_module._spread_out_start(x[None], valid, k, generator)[0]
    wanted = naive_kmeans(x.numpy(), start.numpy(), capacity, rounds)
    found = balanced_kmeans(x, k, capacity=capacity, seed=seed, rounds=rounds)
    assert found.tolist() == wanted


@pytest.mark.parametrize("k", [33, 90])
def test_hierarchical_division_with_room_to_spare_keeps_within_capacity(k: int) -> None:
    x = points(640, 6, dtype=torch.float32)
    capacity = 2 * -(-640 // k)
    sizes = torch.bincount(balanced_kmeans(x, k, capacity=capacity, seed=0), minlength=k)
    assert len(sizes) == k, "never more clusters than asked for; some may be empty"
    assert sizes.sum() == 640
    assert sizes.max() <= capacity


def test_with_room_for_all_every_point_gets_its_most_similar_cluster() -> None:
    similarity = torch.rand(100, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        assign_within_capacity(similarity, torch.full((7,), 100)), similarity.argmax(dim=1)
    )


def test_without_room_for_all_it_is_refused_and_does_not_hang() -> None:
    with pytest.raises(ValueError, match="10 points do not fit into 9 places"):
        assign_within_capacity(torch.rand(10, 3), torch.tensor([3, 3, 3]))
    room = torch.tensor([[2, 2], [10, 10]])
    with pytest.raises(ValueError, match="10 points do not fit into 4 places"):
        assign_within_capacity(torch.rand(10, 2), room, torch.zeros(10, dtype=torch.int64))


def test_points_of_several_nodes_are_assigned_as_if_each_were_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    similarity = torch.rand(90, 4, generator=generator)
    node = torch.arange(90) % 3
    room = torch.tensor([[8, 8, 8, 8], [30, 0, 0, 0], [10, 10, 5, 5]])
    together = assign_within_capacity(similarity, room, node)
    for i in range(3):
        alone = assign_within_capacity(similarity[node == i], room[i])
        assert torch.equal(together[node == i], alone)


@pytest.mark.parametrize("k", [17, 66, 250, 400])
def test_hierarchical_division_respects_the_capacity_exactly_and_fills_every_cluster(
    k: int,
) -> None:
    x = points(4000, 12, dtype=torch.float32)
    capacity = -(-4000 // k)
    clusters = balanced_kmeans(x, k, capacity=capacity, seed=0)
    sizes = torch.bincount(clusters, minlength=k)
    assert len(sizes) == k
    assert sizes.sum() == 4000
    assert sizes.max() <= capacity
    assert sizes.min() > 0


def test_many_clusters_are_nearly_as_tight_as_those_of_plain_kmeans() -> None:
    x, _ = blobs([50] * 60, noise=1.0)
    clusters = balanced_kmeans(x, 60, capacity=55, seed=0)
    plain = KMeans(60, n_init=1, random_state=0).fit_predict(x.numpy())
    assert inertia(x, clusters) <= 1.25 * inertia(x, plain)


def test_divide_numbers_the_clusters_of_several_groups_one_after_the_other() -> None:
    x = points(1200, 6, dtype=torch.float32)
    group = torch.arange(1200) % 3
    number = torch.tensor([1, 40, 7])
    capacity = -(-torch.bincount(group) // number)
    clusters = divide(x, group, number, capacity, seed=0, rounds=50, tolerance=1e-3)
    for g, (first, k) in enumerate([(0, 1), (1, 40), (41, 7)]):
        own = clusters[group == g]
        assert own.min() == first
        assert own.max() == first + k - 1
        assert torch.bincount(own - first).max() <= capacity[g]
