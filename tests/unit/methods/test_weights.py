"""Class weights."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from class_sizes import LONG_TAIL, seeded, shuffled_labels
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from drugtail.config.components.weights import (
    ClassBalancedWeights,
    ClassDistanceWeights,
    ClassSeparabilityWeights,
    CostSensitiveWeights,
    UniformWeights,
)
from drugtail.geometry.class_geometry import Geometry
from drugtail.methods.weights import CLASS_WEIGHTS, class_distance_weights


def cost_sensitive(sizes: list[int], gamma: float) -> Tensor:
    settings = CostSensitiveWeights(name="cost_sensitive", gamma=gamma)
    return CLASS_WEIGHTS["cost_sensitive"](settings, torch.tensor(sizes), None)


@given(sizes=st.lists(st.integers(1, 100_000), min_size=1, max_size=12), gamma=st.floats(0.0, 2.0))
@settings(max_examples=60, deadline=None)
def test_cost_sensitive_weights_follow_their_formula_with_mean_one(
    sizes: list[int], gamma: float
) -> None:
    raw = [(min(sizes) / n) ** gamma for n in sizes]
    wanted = [w * len(raw) / sum(raw) for w in raw]
    found = cost_sensitive(sizes, gamma)
    assert found.tolist() == pytest.approx(wanted, rel=1e-5)
    assert found.mean().item() == pytest.approx(1, rel=1e-5)


def test_cost_sensitive_weights_are_inverse_to_class_size_and_uniform_for_gamma_zero() -> None:
    weights = cost_sensitive([100, 10, 1], 1.0)
    assert (weights[2] / weights[0]).item() == pytest.approx(100)
    assert cost_sensitive([100, 10, 1], 0.0).tolist() == [1.0] * 3


def test_uniform_weights_are_one_for_every_class() -> None:
    counts = torch.tensor([100, 10, 1])
    assert CLASS_WEIGHTS["uniform"](UniformWeights(), counts, None).tolist() == [1.0] * 3


def test_class_distance_weights_are_uniform_before_the_first_clustering() -> None:
    assert CLASS_WEIGHTS["class_distance"](None, torch.tensor([9, 1]), None).tolist() == [1.0] * 2


def embeddings(sizes: list[int], pieces: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised random points in two to five dimensions, with classes cut into pieces."""
    dimension = 2 + seed % 4
    labels = shuffled_labels(sizes, seed)
    x = torch.randn(len(labels), dimension, generator=seeded(seed), dtype=torch.float64)
    x = torch.nn.functional.normalize(x, dim=1)
    names = labels * pieces + torch.arange(len(labels)) % pieces
    return x, labels, torch.unique(names, return_inverse=True)[1]


def naive_distances(x: Tensor, labels: Tensor, groups: Tensor) -> list[float]:
    """Per class, the smallest distance of one of its groups' centroids to another class's."""
    points, owners = x.tolist(), labels.tolist()
    centres: dict[int, tuple[int, list[float]]] = {}
    for group in set(groups.tolist()):
        members = [i for i, name in enumerate(groups.tolist()) if name == group]
        mean = [math.fsum(points[i][d] for i in members) / len(members) for d in range(x.shape[1])]
        centres[group] = (owners[members[0]], mean)
    return [
        min(
            math.dist(mine, theirs)
            for own, mine in centres.values()
            for other, theirs in centres.values()
            if own == label != other
        )
        for label in range(max(owners) + 1)
    ]


def naive_class_distance_weights(x: Tensor, labels: Tensor, subclusters: Tensor) -> list[float]:
    totals = [0.0] * (int(labels.max()) + 1)
    for groups in (labels, subclusters):
        exponentials = [math.exp(-d) for d in naive_distances(x, labels, groups)]
        for label, value in enumerate(exponentials):
            totals[label] += value / sum(exponentials) / 2
    return [total * len(totals) for total in totals]


@pytest.mark.parametrize("seed", range(8))
def test_class_distance_weights_equal_a_loop_over_centroids(seed: int) -> None:
    x, labels, subclusters = embeddings([40, 17, 9, 3, 1], 1 + seed % 3, seed)
    found = class_distance_weights(x, labels, subclusters)
    wanted = naive_class_distance_weights(x, labels, subclusters)
    assert found.tolist() == pytest.approx(wanted, rel=1e-9)
    assert found.mean().item() == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_two_classes_always_weigh_one_each_so_reweighting_does_nothing(seed: int) -> None:
    # METHODS.md, "known weakness": with C = 2 each class's nearest other class is the same pair.
    x, labels, subclusters = embeddings([60, 5], 4, seed)
    assert class_distance_weights(x, labels, subclusters).tolist() == [1.0, 1.0]
    single = class_distance_weights(x.float(), labels, subclusters)
    assert single.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "subclusters", "message"),
    [
        ([0, 0, 2, 2], [0, 0, 1, 1], r"\[2, 0, 2\]; two classes or more"),
        ([0, 0, 0, 0], [0, 0, 1, 1], "two classes or more"),
        ([0, 0, 1, 1], [0, 1, 1, 2], "molecules of two classes"),
    ],
)
def test_class_distance_weights_refuse_what_has_no_distances(
    labels: list[int], subclusters: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        class_distance_weights(torch.eye(4), torch.tensor(labels), torch.tensor(subclusters))


@pytest.mark.parametrize("factor", [100.0, 0.5, math.nan])
def test_class_distance_weights_refuse_embeddings_that_are_not_normalised(factor: float) -> None:
    x, labels, subclusters = embeddings([6, 5, 4], 2, 0)
    with pytest.raises(ValueError, match="normalise"):
        class_distance_weights(x * factor, labels, subclusters)


def test_class_distance_weights_of_identical_molecules_are_one_and_need_no_gradient() -> None:
    x, labels, subclusters = embeddings([8, 5, 4], 2, 0)
    same = x[:1].expand(len(x), -1).clone().requires_grad_()
    found = class_distance_weights(same, labels, subclusters)
    assert found.tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert not found.requires_grad


@given(
    sizes=st.lists(st.integers(1, 15), min_size=2, max_size=6),
    pieces=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_class_distance_weights_never_differ_by_more_than_a_factor_of_e_squared(
    sizes: list[int], pieces: int, seed: int
) -> None:
    weights = class_distance_weights(*embeddings(sizes, pieces, seed))
    assert weights.isfinite().all()
    assert (weights.max() / weights.min()).item() <= math.exp(2) * (1 + 1e-9)


def test_a_class_near_another_weighs_more_than_one_far_from_all() -> None:
    angles = torch.tensor([0.0, 0.3, math.pi], dtype=torch.float64)
    x = torch.stack([angles.cos(), angles.sin()], dim=1)
    names = torch.arange(3)
    weights = class_distance_weights(x, names, names)
    assert weights[0] > weights[2]
    assert weights[0].item() == pytest.approx(weights[1].item())


def test_separability_weights_follow_their_formula_whichever_molecules_are_taken() -> None:
    values = {"train": [0.9, 0.1, -0.4], "valid": [0.2, 0.3, -0.9]}
    nothing = torch.zeros(3)
    geometry = Geometry(
        subclusters=torch.zeros(1, dtype=torch.int64),
        subcluster_count=torch.ones(3, dtype=torch.int64),
        centroids=nothing[:, None],
        nearest_class=nothing.long(),
        class_distance=nothing,
        subcluster_distance=nothing,
        spread=nothing,
        separability=torch.tensor(values["train"]),
        valid_separability=torch.tensor(values["valid"]),
    )
    counts = torch.tensor([100, 10, 1])
    for of, silhouettes in values.items():
        for temperature in (0.1, 1.0):
            settings = ClassSeparabilityWeights.model_validate(
                {"name": "class_separability", "temperature": temperature, "of": of}
            )
            raw = [math.exp(-s / temperature) for s in silhouettes]
            wanted = [3 * value / sum(raw) for value in raw]
            found = CLASS_WEIGHTS["class_separability"](settings, counts, geometry)
            assert found.tolist() == pytest.approx(wanted, rel=1e-5)
            assert CLASS_WEIGHTS["class_separability"](settings, counts, None).tolist() == [1] * 3


def geometry_of(distances: list[float]) -> Geometry:
    nothing = torch.zeros(len(distances))
    return Geometry(
        subclusters=torch.zeros(1, dtype=torch.int64),
        subcluster_count=torch.ones(len(distances), dtype=torch.int64),
        centroids=nothing[:, None],
        nearest_class=nothing.long(),
        class_distance=torch.tensor(distances),
        subcluster_distance=torch.tensor(distances) * 0.7,
        spread=nothing,
        separability=nothing,
        valid_separability=nothing,
    )


DISTANCES = st.lists(st.floats(0.02, 2.0), min_size=3, max_size=12)


def weighted(distances: list[float], counts: list[int] | None = None, **settings: Any) -> Tensor:
    chosen = ClassDistanceWeights.model_validate({"name": "class_distance", **settings})
    sizes = torch.tensor(counts or [*range(1, len(distances) + 1)])
    return CLASS_WEIGHTS["class_distance"](chosen, sizes, geometry_of(distances))


@given(distances=DISTANCES)
@settings(max_examples=60, deadline=None)
def test_permuted_weights_are_the_same_ones_in_an_order_that_is_kept(
    distances: list[float],
) -> None:
    plain, found = weighted(distances), weighted(distances, control="permuted")
    torch.testing.assert_close(found.sort().values, plain.sort().values)
    assert torch.equal(weighted(distances, control="permuted"), found)


def test_permuted_weights_are_in_another_order_at_every_refresh() -> None:
    orders = set()
    for shift in range(30):
        distances = [0.1 + 0.1 * i + 0.001 * shift * (i % 3) for i in range(8)]
        found = weighted(distances, control="permuted")
        orders.add(tuple(found.argsort().tolist()))
    assert len(orders) > 25


@given(distances=DISTANCES)
@settings(max_examples=60, deadline=None)
def test_inverted_weights_are_the_softmax_of_the_distances(distances: list[float]) -> None:
    d = np.array(distances)
    wanted = sum(np.exp(one) / np.exp(one).sum() for one in (d, 0.7 * d)) / 2
    found = weighted(distances, control="inverted").numpy()
    np.testing.assert_allclose(found / found.sum(), wanted, rtol=1e-4)


@given(distances=DISTANCES, counts=st.lists(st.integers(1, 5000), min_size=12, max_size=12))
@example(distances=[2.0, 0.5, 1.0], counts=[576, 572, 570, *[1] * 9])
@settings(max_examples=60, deadline=None)
def test_size_matched_weights_have_the_same_spread_and_follow_class_size(
    distances: list[float], counts: list[int]
) -> None:
    sizes = counts[: len(distances)]
    plain = weighted(distances, sizes)
    found = weighted(distances, sizes, control="size_matched")
    assert found.mean().item() == pytest.approx(1, rel=1e-5)
    if len(set(sizes)) == 1:
        assert found.tolist() == [1.0] * len(sizes)
        return
    ratio = (plain.max() / plain.min()).item()
    assert (found.max() / found.min()).item() == pytest.approx(ratio, rel=1e-3)
    order = np.argsort(sizes, kind="stable")
    assert (np.diff(found.numpy()[order]) <= 1e-6).all()


@given(distances=DISTANCES, spread=st.sampled_from([3.0, 10.0]))
@settings(max_examples=60, deadline=None)
def test_sharpened_weights_have_the_spread_asked_for_and_the_order_of_distances(
    distances: list[float], spread: float
) -> None:
    found = weighted(distances, spread=spread)
    if max(distances) - min(distances) < 1e-2:
        return
    assert (found.max() / found.min()).item() == pytest.approx(spread, rel=1e-2)
    order = np.argsort(distances, kind="stable")
    assert (np.diff(found.numpy()[order]) <= 1e-5).all()


def test_with_two_classes_every_control_is_equal_weights() -> None:
    for settings_given in (
        {"control": "permuted"}, {"control": "inverted"}, {"spread": 3.0}, {"spread": 10.0},
        {"control": "size_matched"},
    ):  # fmt: skip
        found = weighted([0.8, 0.8], [90, 10], **settings_given)
        assert found.tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.999, 0.9999])
def test_class_balanced_weights_equal_their_formula(beta: float) -> None:
    part = ClassBalancedWeights(name="class_balanced", beta=beta)
    found = CLASS_WEIGHTS["class_balanced"](part, torch.tensor(LONG_TAIL), None)
    raw = [(1 - beta) / (1 - beta**n) for n in LONG_TAIL]
    wanted = [w * len(raw) / sum(raw) for w in raw]
    assert found.tolist() == pytest.approx(wanted, rel=1e-6)


def test_class_balanced_weights_are_uniform_at_beta_0_and_inverse_to_size_at_the_other_end() -> (
    None
):
    counts = torch.tensor(LONG_TAIL)
    uniform = ClassBalancedWeights(name="class_balanced", beta=0.0)
    assert CLASS_WEIGHTS["class_balanced"](uniform, counts, None).tolist() == [1.0] * 4
    inverse = ClassBalancedWeights(name="class_balanced", beta=1 - 1e-9)
    torch.testing.assert_close(
        CLASS_WEIGHTS["class_balanced"](inverse, counts, None),
        CLASS_WEIGHTS["cost_sensitive"](CostSensitiveWeights(name="cost_sensitive"), counts, None),
        rtol=1e-4, atol=0,
    )  # fmt: skip


@given(size=st.integers(1, 5000), classes=st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_weights_of_classes_of_one_size_are_all_one(size: int, classes: int) -> None:
    counts = torch.full((classes,), size)
    for part in (
        CostSensitiveWeights(name="cost_sensitive"), ClassBalancedWeights(name="class_balanced")
    ):  # fmt: skip
        weights = CLASS_WEIGHTS[part.name](part, counts, None)
        torch.testing.assert_close(weights, torch.ones(classes))


def test_every_kind_of_class_weights_has_a_test_of_its_formula() -> None:
    assert set(CLASS_WEIGHTS.names()) == {
        "uniform", "cost_sensitive", "class_balanced", "class_distance", "class_separability",
    }  # fmt: skip
