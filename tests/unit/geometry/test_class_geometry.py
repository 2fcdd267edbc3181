"""Geometry of classes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from clouds import blobs, points
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from torch import Tensor
from torch.nn.functional import normalize

from drugtail.geometry import class_geometry as geometry_module
from drugtail.geometry.balanced_kmeans import (
    subcluster_counts,
)
from drugtail.geometry.class_geometry import (
    Geometry,
    class_spread,
    class_temperatures,
    cluster_classes,
    nearest_centre,
    nearest_other_class,
    separability,
    take_geometry,
)


def clustered_geometry(
    x: Tensor, labels: Tensor, valid: Tensor, valid_labels: Tensor, **clustering: Any
) -> Geometry:
    """Cluster every class, and measure how they lie."""
    whole = clustering.get("minimum_size", 1) is None
    subclusters = labels if whole else cluster_classes(x, labels, **clustering)
    return take_geometry(x, labels, valid, valid_labels, subclusters)


@pytest.mark.parametrize("of_own_class", [True, False])
def test_the_search_in_groups_of_centres_finds_nearly_always_the_nearest(
    monkeypatch: pytest.MonkeyPatch, of_own_class: bool
) -> None:
    x, labels = blobs([900, 500, 300], noise=1.0)
    centres, owner = blobs([600, 300, 200], noise=0.8, seed=5)
    exact, _ = nearest_centre(x, labels, centres, owner, of_own_class=of_own_class)
    naive = cdist(x.numpy(), centres.numpy())
    same = labels.numpy()[:, None] == owner.numpy()[None, :]
    wanted = np.where(same == of_own_class, naive, np.inf).min(axis=1)
    np.testing.assert_allclose(exact.numpy(), wanted, rtol=1e-6)
    monkeypatch.setattr(geometry_module, "EXACT_CENTRES", 0)
    monkeypatch.setattr(geometry_module, "PROBES", 6)
    found, position = nearest_centre(x, labels, centres, owner, of_own_class=of_own_class)
    assert ((owner[position] == labels) == of_own_class).all()
    ratio = found.numpy() / wanted
    assert ratio.min() >= 1 - 1e-6
    assert (ratio < 1 + 1e-6).mean() > 0.9
    assert ratio.mean() < 1.01


def test_validation_molecules_are_measured_against_the_sub_clusters_of_training_ones() -> None:
    x, labels = blobs([60, 40, 20], noise=0.5)
    taken = clustered_geometry(x, labels, x, labels)
    torch.testing.assert_close(taken.valid_separability, taken.separability)
    # Validation molecules that lie where another class does are not separable.
    other = clustered_geometry(x, labels, x, (labels + 1) % 3)
    assert (other.valid_separability < taken.separability).all()
    # A class without validation molecules keeps the value of its training molecules.
    some = clustered_geometry(x, labels, x[labels == 0], labels[labels == 0])
    torch.testing.assert_close(some.valid_separability, taken.separability)


def labelled(sizes: list[int], pieces: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random points, their shuffled classes, and sub-clusters numbered without gaps."""
    x = points(sum(sizes), 4, seed)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    names = labels * pieces + torch.arange(len(labels)) % pieces
    return x, labels, torch.unique(names, return_inverse=True)[1]


def centroids(x: Tensor, groups: Tensor) -> dict[int, list[float]]:
    values, names = x.tolist(), groups.tolist()
    members = {g: [v for v, name in zip(values, names, strict=True) if name == g] for g in names}
    return {
        g: [math.fsum(column) / len(rows) for column in zip(*rows, strict=True)]
        for g, rows in members.items()
    }


PROBLEMS = [([30, 12, 5, 1], 1), ([30, 12, 5, 1], 3), ([9, 9], 2), ([40, 3, 3, 2, 2, 1], 4)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sizes", "pieces"), PROBLEMS)
def test_nearest_other_class_equals_loops_over_centroids(
    sizes: list[int], pieces: int, seed: int
) -> None:
    x, labels, subclusters = labelled(sizes, pieces, seed)
    distance, nearest, subcluster_distance = nearest_other_class(x, labels, subclusters)
    of_class, of_subcluster = centroids(x, labels), centroids(x, subclusters)
    owner = dict(zip(subclusters.tolist(), labels.tolist(), strict=True))
    for c in range(len(sizes)):
        others = {o: math.dist(of_class[c], of_class[o]) for o in of_class if o != c}
        closest = min(others, key=lambda o: others[o])
        assert nearest[c] == closest
        assert distance[c].item() == pytest.approx(others[closest], abs=1e-9)
        pairs = [
            math.dist(of_subcluster[a], of_subcluster[b])
            for a in of_subcluster
            for b in of_subcluster
            if owner[a] == c != owner[b]
        ]
        assert subcluster_distance[c].item() == pytest.approx(min(pairs), abs=1e-9)


def naive_spread(x: Tensor, labels: Tensor) -> list[float]:
    centre = centroids(x, labels)
    raw = []
    for c in sorted(centre):
        members = [z for z, label in zip(x.tolist(), labels.tolist(), strict=True) if label == c]
        mean = sum(math.dist(z, centre[c]) for z in members) / len(members)
        raw.append(mean / math.log(len(members) + 10))
    low, high = np.percentile(raw, [20, 80])
    return [min(max(value, low), high) for value in raw]


@pytest.mark.parametrize(("sizes", "pieces"), PROBLEMS)
def test_class_spread_equals_its_formula_clipped_to_percentiles(
    sizes: list[int], pieces: int
) -> None:
    x, labels, _ = labelled(sizes, pieces, 0)
    assert class_spread(x, labels).tolist() == pytest.approx(naive_spread(x, labels), rel=1e-6)


def geometry_of(spread: list[float], subcluster_count: list[int]) -> Geometry:
    """A geometry of which only what temperatures read is filled with sense."""
    nothing = torch.zeros(len(spread))
    return Geometry(
        subclusters=torch.zeros(1, dtype=torch.int64),
        subcluster_count=torch.tensor(subcluster_count),
        centroids=nothing[:, None],
        nearest_class=nothing.long(),
        class_distance=nothing,
        subcluster_distance=nothing,
        spread=torch.tensor(spread, dtype=torch.float64),
        separability=nothing,
        valid_separability=nothing,
    )


def test_class_temperatures_follow_their_formula_and_are_plain_for_single_subclusters() -> None:
    spread, number = [0.1, 0.3, 0.2, 0.4], [5, 2, 1, 3]
    found = class_temperatures(geometry_of(spread, number), 0.1)
    mean = sum(spread) / len(spread)
    wanted = [
        0.1 * math.exp(f / mean) if k > 1 else 0.1 for f, k in zip(spread, number, strict=True)
    ]
    assert found.tolist() == pytest.approx(wanted)


def test_class_temperatures_of_classes_without_any_spread_are_finite_and_positive() -> None:
    found = class_temperatures(geometry_of([0.0, 0.0], [3, 2]), 0.1)
    assert found.isfinite().all()
    assert (found > 0).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("sizes", "pieces"), PROBLEMS)
def test_separability_equals_a_loop_over_molecules(
    sizes: list[int], pieces: int, seed: int
) -> None:
    x, labels, subclusters = labelled(sizes, pieces, seed)
    centre = centroids(x, subclusters)
    owner = dict(zip(subclusters.tolist(), labels.tolist(), strict=True))
    per_class: dict[int, list[float]] = {c: [] for c in range(len(sizes))}
    for z, c in zip(x.tolist(), labels.tolist(), strict=True):
        a = min(math.dist(z, centre[s]) for s in centre if owner[s] == c)
        b = min(math.dist(z, centre[s]) for s in centre if owner[s] != c)
        per_class[c].append((b - a) / max(a, b))
    wanted = [sum(values) / len(values) for values in per_class.values()]
    assert separability(x, labels, subclusters).tolist() == pytest.approx(wanted, abs=1e-7)


def test_separability_is_one_for_points_on_their_centres_and_negative_for_misplaced_ones() -> None:
    axes = torch.eye(4, dtype=torch.float64)
    x = axes[torch.tensor([0, 0, 1, 1])]
    labels = torch.tensor([0, 0, 1, 1])
    assert separability(x, labels, labels).tolist() == [1.0, 1.0]
    # The last molecule of class 1 lies on class 0's centre.
    y = axes[torch.tensor([0, 0, 0, 1, 1, 1, 0])]
    names = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    found = separability(y, names, names)
    assert found[0] == 1
    # The others lie sqrt(2)/4 from their centre and sqrt(2) from class 0's.
    assert found[1].item() == pytest.approx((3 * (1 - 1 / 4) - 1) / 4)


def test_more_molecules_than_one_block_of_rows_give_the_same_as_one_matrix_of_distances() -> None:
    x, labels, subclusters = labelled([7000, 1500, 600], 40, 0)
    centre = centroids(x, subclusters)
    matrix = cdist(x.numpy(), np.array([centre[s] for s in sorted(centre)]))
    owner = np.empty(len(centre), dtype=int)
    owner[subclusters.numpy()] = labels.numpy()
    same = labels.numpy()[:, None] == owner[None, :]
    a = np.where(same, matrix, np.inf).min(1)
    b = np.where(same, np.inf, matrix).min(1)
    silhouette = (b - a) / np.maximum(a, b)
    wanted = [silhouette[labels.numpy() == c].mean() for c in range(3)]
    assert separability(x, labels, subclusters).tolist() == pytest.approx(wanted, abs=1e-6)


@given(counts=st.lists(st.integers(1, 5000), min_size=1, max_size=12), minimum=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_subcluster_counts_follow_their_formula(counts: list[int], minimum: int) -> None:
    limit = max(min(counts), minimum)
    wanted = [max(1, n // limit) for n in counts]
    assert subcluster_counts(torch.tensor(counts), minimum).tolist() == wanted


def geometry(x: Tensor, labels: Tensor, seed: int = 0, minimum_size: int = 10) -> Geometry:
    return clustered_geometry(x, labels, x[:0], labels[:0], minimum_size=minimum_size, seed=seed)


def test_geometry_cuts_classes_into_their_own_capacity_limited_subclusters() -> None:
    sizes = [130, 47, 19, 4]
    x, labels, _ = labelled(sizes, 1, 0)
    taken = geometry(x, labels)
    assert taken.subcluster_count.tolist() == [13, 4, 1, 1]
    pairs = set(zip(taken.subclusters.tolist(), labels.tolist(), strict=True))
    assert len(pairs) == len({s for s, _ in pairs}), "a sub-cluster belongs to one class"
    for c, (n, k) in enumerate(zip(sizes, [13, 4, 1, 1], strict=True)):
        own = torch.bincount(taken.subclusters[labels == c])
        assert own.sum() == n
        assert own.max() <= math.ceil(n / k)
        assert (own > 0).sum() == k


def test_geometry_reports_what_its_parts_compute() -> None:
    x, labels, _ = labelled([130, 47, 19, 4], 1, 0)
    taken = geometry(x, labels)
    distance, nearest, subcluster_distance = nearest_other_class(x, labels, taken.subclusters)
    assert torch.equal(taken.class_distance, distance)
    assert torch.equal(taken.nearest_class, nearest)
    assert torch.equal(taken.subcluster_distance, subcluster_distance)
    assert torch.equal(taken.spread, class_spread(x, labels))
    assert torch.equal(taken.separability, separability(x, labels, taken.subclusters))


def test_geometry_depends_on_its_seed_alone() -> None:
    x, labels, _ = labelled([130, 47, 19, 4], 1, 0)
    torch.manual_seed(1)
    first = geometry(x, labels, seed=3)
    torch.manual_seed(2)
    again = geometry(x, labels, seed=3)
    assert torch.equal(first.subclusters, again.subclusters)
    assert torch.equal(first.separability, again.separability)
    assert not torch.equal(first.subclusters, geometry(x, labels, seed=4).subclusters)


def test_a_subcluster_left_empty_does_not_take_part_as_a_centre_at_the_origin() -> None:
    # The 201 identical molecules of class 0 fill 19 of its 20 places of 11 molecules each.
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor([201, 10, 30]))
    taken = geometry(torch.eye(3)[labels], labels)
    root = math.sqrt(2)
    assert taken.class_distance.tolist() == pytest.approx([root] * 3, abs=1e-5)
    assert taken.subcluster_distance.tolist() == pytest.approx([root] * 3, abs=1e-5)
    assert taken.separability.tolist() == pytest.approx([1.0] * 3, abs=1e-3)


@pytest.mark.parametrize("noise", [1.0, 1e-3, 1e-4])
@pytest.mark.parametrize("groups", [False, True])
def test_two_classes_have_one_distance_however_close_their_molecules_lie(
    noise: float, groups: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if groups:
        monkeypatch.setattr(geometry_module, "EXACT_CENTRES", 0)
        monkeypatch.setattr(geometry_module, "PROBES", 2)
    labels = torch.repeat_interleave(torch.arange(2), torch.tensor([2000, 40]))
    for seed in range(5):
        away = points(2040, 32, seed, torch.float32)
        x = normalize(points(1, 32, dtype=torch.float32) + noise * away, dim=1)
        taken = geometry(x, labels)
        assert taken.class_distance[0] == taken.class_distance[1]
        assert taken.subcluster_distance[0] == taken.subcluster_distance[1]


def test_kmeans_without_balance_makes_clusters_above_their_share() -> None:
    x, labels = blobs([300, 20, 20, 20, 20], noise=0.1)
    one = torch.cat([torch.zeros(len(x)), torch.ones(10)]).long()
    everything = torch.cat([x, points(10, 16, 9)])
    share = -(-380 // 5)
    plain = clustered_geometry(
        everything, one, x[:0], labels[:0], sizes=torch.tensor([50, 10]), balanced=False
    )
    assert torch.bincount(plain.subclusters[one == 0]).max() > share
    balanced = clustered_geometry(everything, one, x[:0], labels[:0], sizes=torch.tensor([50, 10]))
    assert torch.bincount(balanced.subclusters[one == 0]).max() <= share


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identical_molecules_of_several_classes_have_a_finite_geometry(dtype: torch.dtype) -> None:
    x = points(1, 16, dtype=dtype).expand(60, -1).contiguous()
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 5)
    taken = geometry(x, labels)
    for value in (taken.class_distance, taken.subcluster_distance, taken.spread):
        assert value.isfinite().all()
        assert value.abs().max() < 1e-2
    # Nothing can be told apart, and rounding errors are no distances.
    assert (taken.separability == 0).all()
    assert (taken.valid_separability == 0).all()
    temperatures = class_temperatures(taken, 0.1)
    assert temperatures.isfinite().all()
    assert (temperatures >= 0.1 - 1e-6).all()


def test_a_class_of_one_molecule_has_a_finite_geometry() -> None:
    x, labels, _ = labelled([40, 12, 1], 1, 0)
    taken = geometry(x.float(), labels, minimum_size=1)
    assert taken.subcluster_count.tolist() == [40, 12, 1]
    for value in (taken.class_distance, taken.subcluster_distance, taken.spread):
        assert value.isfinite().all()
    assert taken.separability.isfinite().all()
