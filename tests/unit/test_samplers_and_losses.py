"""Samplers, classification losses, class weights, views and the registry of parts."""

import math
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import edge_index
from scipy.stats import chisquare
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from drugtail.config.components.losses import LogitAdjustment
from drugtail.config.components.samplers import DeferredSampler, UndersampleSampler
from drugtail.config.components.views import Drop
from drugtail.config.components.weights import (
    ClassBalancedWeights,
    ClassSeparabilityWeights,
    CostSensitiveWeights,
    UniformWeights,
)
from drugtail.features.packed import GraphBatch, GraphStore
from drugtail.features.reading import pack_atoms
from drugtail.geometry.class_geometry import Geometry
from drugtail.methods.losses import LOSSES, Outcome
from drugtail.methods.samplers import SAMPLERS
from drugtail.methods.views import VIEWS, drop_probability
from drugtail.methods.weights import CLASS_WEIGHTS, class_distance_weights
from drugtail.runtime.draws import Draws
from drugtail.runtime.registry import Registry

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda sizes: sum(sizes) > 0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shuffled_labels(sizes: list[int], seed: int = 0) -> Tensor:
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=seeded(seed))]


def draw(name: str, labels: Tensor, seed: int) -> Tensor:
    return SAMPLERS[name](None, labels, seeded(seed), 0.0)


# ------------------------------------------------------------------------------- samplers


@given(sizes=SIZES, seed=st.integers(0, 2**62))
@settings(max_examples=50, deadline=None)
def test_instance_sampler_draws_every_molecule_once(sizes: list[int], seed: int) -> None:
    drawn = draw("instance", shuffled_labels(sizes), seed)
    assert sorted(drawn.tolist()) == list(range(sum(sizes)))


@given(sizes=SIZES, seed=st.integers(0, 2**62))
@settings(max_examples=50, deadline=None)
def test_class_balanced_sampler_draws_n_existing_molecules(sizes: list[int], seed: int) -> None:
    labels = shuffled_labels(sizes)
    drawn = draw("class_balanced", labels, seed)
    assert drawn.dtype == torch.int64
    assert len(drawn) == len(labels)
    assert drawn.min() >= 0
    assert drawn.max() < len(labels)


@pytest.mark.parametrize("name", ["instance", "class_balanced"])
def test_sampling_depends_on_its_generator_alone(name: str) -> None:
    labels = shuffled_labels([50, 30, 20])
    torch.manual_seed(1)
    first = draw(name, labels, 7)
    torch.manual_seed(2)
    assert torch.equal(draw(name, labels, 7), first)
    assert not torch.equal(draw(name, labels, 8), first)


def test_instance_sampler_puts_every_molecule_anywhere() -> None:
    labels = shuffled_labels([6])
    table = torch.zeros(6, 6)
    generator = seeded(0)
    for _ in range(6000):
        table[torch.arange(6), SAMPLERS["instance"](None, labels, generator, 0.0)] += 1
    assert chisquare(table.flatten().numpy()).pvalue > 1e-3


def test_class_balanced_sampler_draws_classes_and_molecules_within_them_uniformly() -> None:
    labels = shuffled_labels([200, 40, 9, 1])
    generator = seeded(0)
    drawn = torch.cat(
        [SAMPLERS["class_balanced"](None, labels, generator, 0.0) for _ in range(200)]
    )
    per_class = torch.bincount(labels[drawn], minlength=4)
    assert chisquare(per_class.numpy()).pvalue > 1e-3
    per_molecule = torch.bincount(drawn, minlength=len(labels))
    for label in (0, 1, 2):
        assert chisquare(per_molecule[labels == label].numpy()).pvalue > 1e-3


def test_classes_without_molecules_are_never_drawn_and_take_no_share() -> None:
    labels = torch.tensor([1] * 30 + [4] * 10)
    generator = seeded(0)
    drawn = torch.cat(
        [SAMPLERS["class_balanced"](None, labels, generator, 0.0) for _ in range(500)]
    )
    counts = torch.bincount(labels[drawn], minlength=6).tolist()
    assert [counts[c] for c in (0, 2, 3, 5)] == [0] * 4
    assert chisquare([counts[1], counts[4]]).pvalue > 1e-3


# --------------------------------------------------------------------------------- losses


def loss(
    name: str, settings: Any, logits: Tensor, labels: Tensor, counts: Tensor, **more: Any
) -> Tensor:
    """A registered loss, with whatever else it may know."""
    known = {
        "features": torch.ones(len(labels), 3, dtype=logits.dtype),
        "experts": logits[None],
        "scale": 1.0,
        "progress": torch.tensor(0.5),
        "draws": Draws(torch.tensor(0)),
    }
    batch = Outcome(logits=logits, labels=labels, counts=counts, **{**known, **more})
    return LOSSES[name](settings, batch)


def naive_cross_entropy(logits: list[float], label: int) -> float:
    return -math.log(math.exp(logits[label]) / sum(math.exp(value) for value in logits))


def example(classes: int = 5, molecules: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    logits = 3 * torch.randn(molecules, classes, generator=seeded(0), dtype=torch.float64)
    labels = torch.randint(classes, (molecules,), generator=seeded(1))
    counts = torch.tensor([500, 80, 13, 2, 1][:classes])
    return logits, labels, counts


def test_cross_entropy_equals_its_formula_per_molecule() -> None:
    logits, labels, counts = example()
    wanted = [naive_cross_entropy(s, y) for s, y in zip(logits.tolist(), labels, strict=True)]
    found = loss("cross_entropy", None, logits, labels, counts)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


def test_balanced_softmax_equals_its_formula_per_molecule() -> None:
    logits, labels, counts = example()
    wanted = []
    for s, y in zip(logits.tolist(), labels.tolist(), strict=True):
        shares = [n * math.exp(value) for n, value in zip(counts.tolist(), s, strict=True)]
        wanted.append(-math.log(shares[y] / sum(shares)))
    found = loss("balanced_softmax", None, logits, labels, counts)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_balanced_softmax_with_equal_class_sizes_is_cross_entropy(size: int) -> None:
    logits, labels, counts = example()
    equal = torch.full_like(counts, size)
    torch.testing.assert_close(
        loss("balanced_softmax", None, logits, labels, equal),
        loss("cross_entropy", None, logits, labels, equal),
    )


def test_balanced_softmax_asks_a_larger_margin_of_rare_classes() -> None:
    counts = torch.tensor([1000, 10])
    logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
    common, rare = loss("balanced_softmax", None, logits, labels, counts).tolist()
    assert common == pytest.approx(-math.log(1000 / 1010), abs=1e-6)
    assert rare == pytest.approx(-math.log(10 / 1010), abs=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "balanced_softmax"])
def test_losses_have_correct_gradients_and_survive_extreme_logits(name: str) -> None:
    logits, labels, counts = example()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(name, None, s, labels, counts), logits)
    extreme = torch.tensor([[1e4, -1e4, 0, 0, 0]], dtype=torch.float32, requires_grad=True)
    found = loss(name, None, extreme, torch.tensor([1]), counts)
    found.sum().backward()
    assert found.item() == pytest.approx(2e4, rel=1e-2)
    assert extreme.grad.isfinite().all()


# -------------------------------------------------------------------------- class weights


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


# ---------------------------------------------------------------------------------- views

SMILES = ["CC(C)(C)c1ccc(CC(=O)O)cc1", "CCO", "[Xe]", "CC(N)C(=O)O", "c1ccccc1", "FS(F)(F)(F)(F)F"]
REGULAR = ["c1ccccc1", "C1CCCCC1"]
DROP = Drop(rates=[0.15, 0.10], cap=0.7)


def drawing(key: int) -> Draws:
    return Draws(torch.tensor(key))


def twice(smiles: list[str]) -> GraphBatch:
    """The molecules twice, as the loss of a recipe with views cuts them out."""
    store = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    return store.batch(torch.arange(len(smiles)).repeat(2))


def dense(batch: GraphBatch, weight: Tensor) -> Tensor:
    size = (len(batch.atom_type),) * 2
    return torch.zeros(size).index_put((batch.row, batch.column), weight, accumulate=True)


def probabilities(batch: GraphBatch, rate: float, cap: float) -> Tensor:
    is_bond = batch.row != batch.column
    rates = torch.full((len(batch.row),), rate)
    return drop_probability(batch.log_degree, is_bond, rates, cap)


@pytest.mark.parametrize("rate", [0.15, 0.10])
def test_drop_probability_is_proportional_to_the_missing_log_degree_with_the_rate_as_mean(
    rate: float,
) -> None:
    batch = twice(SMILES)
    found = probabilities(batch, rate, cap=1.0)
    degree = torch.bincount(edge_index(batch)[1], minlength=len(batch.atom_type)).tolist()
    bonds = [(r, c) for r, c in zip(batch.row.tolist(), batch.column.tolist(), strict=True)]
    largest = math.log(max(degree))
    missing = [largest - math.log(degree[r]) if r != c else 0.0 for r, c in bonds]
    mean = sum(missing) / sum(r != c for r, c in bonds)
    assert found.tolist() == pytest.approx([rate * m / mean for m in missing], abs=1e-6)
    assert found.max() < 0.7, "otherwise the mean below would not be the rate"
    is_bond = batch.row != batch.column
    assert found[is_bond].mean().item() == pytest.approx(rate, rel=1e-5)
    assert found[~is_bond].tolist() == [0.0] * int((~is_bond).sum())


def test_drop_probability_never_exceeds_the_cap() -> None:
    found = probabilities(twice(SMILES), rate=0.5, cap=0.7)
    assert found.max().item() == pytest.approx(0.7)
    assert (found == found.max()).sum() > 1


def test_atoms_of_one_degree_leave_every_bond_the_rate_itself() -> None:
    batch = twice(REGULAR)
    found = probabilities(batch, rate=0.15, cap=0.7)
    is_bond = batch.row != batch.column
    torch.testing.assert_close(found[is_bond], torch.full((int(is_bond.sum()),), 0.15))


def test_dropped_share_of_either_view_is_its_rate() -> None:
    batch = twice(SMILES * 40)
    half = len(batch.row) // 2
    is_bond = batch.row != batch.column
    kept = torch.stack([VIEWS["drop"](DROP, batch, drawing(s)) > 0 for s in range(20)])
    for rate, view in ((0.15, slice(0, half)), (0.10, slice(half, None))):
        dropped = 1 - kept[:, view][:, is_bond[view]].double().mean().item()
        draws = 20 * int(is_bond[view].sum())
        assert dropped == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / draws))


def test_bonds_to_atoms_of_few_bonds_go_first_and_those_to_the_best_connected_atom_never() -> None:
    batch = twice(["CC(C)(C)C"] * 200)
    kept = VIEWS["drop"](DROP, batch, drawing(0)) > 0
    is_bond = batch.row != batch.column
    degree = torch.bincount(edge_index(batch)[1], minlength=len(batch.atom_type))[batch.row]
    assert kept[is_bond & (degree == 4)].all()
    assert not kept[is_bond & (degree == 1)].all()


def test_loops_stay_and_kept_edges_are_normalised_as_by_pyg() -> None:
    batch = twice(SMILES)
    weight = VIEWS["drop"](Drop(rates=[0.5, 0.4], cap=0.9), batch, drawing(0))
    is_bond = batch.row != batch.column
    kept = weight > 0
    assert kept[~is_bond].all()
    assert 0 < int((~kept).sum()) < int(is_bond.sum())
    edges = torch.stack([batch.column, batch.row])[:, kept & is_bond]
    index, norm = gcn_norm(edges, num_nodes=len(batch.atom_type))
    wanted = torch.zeros((len(batch.atom_type),) * 2).index_put((index[1], index[0]), norm)
    torch.testing.assert_close(dense(batch, weight), wanted)


def test_rate_zero_gives_back_the_plain_adjacency_matrix() -> None:
    batch = twice(SMILES)
    weight = VIEWS["drop"](Drop(rates=[0.0, 0.0]), batch, drawing(0))
    torch.testing.assert_close(weight, batch.norm)


def test_views_depend_on_their_key_alone() -> None:
    batch = twice(SMILES)
    torch.manual_seed(1)
    first = VIEWS["drop"](DROP, batch, drawing(3))
    torch.manual_seed(2)
    assert torch.equal(VIEWS["drop"](DROP, batch, drawing(3)), first)
    others = [VIEWS["drop"](DROP, batch, drawing(s)) for s in range(4, 8)]
    assert all(not torch.equal(a, b) for a, b in pairwise([first, *others]))


@pytest.mark.parametrize("smiles", [["[Xe]"], ["[Xe]", "[Na+].[Cl-]"], ["CC"]])
def test_molecules_without_anything_to_prefer_get_finite_views(smiles: list[str]) -> None:
    weight = VIEWS["drop"](DROP, twice(smiles), drawing(0))
    assert weight.isfinite().all()
    assert (weight >= 0).all()


# ------------------------------------------------------------------------------- registry


def test_registry_finds_by_name_and_says_what_there_is_otherwise() -> None:
    registry: Registry = Registry("sampler")
    implementation = registry.register("b")(lambda: 1)
    registry.register("a")(lambda: 2)
    assert registry["b"] is implementation
    assert registry.names() == ["a", "b"]
    with pytest.raises(KeyError, match=r"sampler 'c' is not registered; there are: a, b"):
        registry["c"]


def test_a_name_cannot_be_registered_twice() -> None:
    registry: Registry = Registry("loss")
    registry.register("a")(lambda: 1)
    with pytest.raises(ValueError, match="loss 'a' is registered twice"):
        registry.register("a")(lambda: 2)
    assert registry["a"]() == 1


def test_a_registry_of_a_package_imports_what_is_asked_for_alone() -> None:
    program = (
        "import sys; from drugtail.data.strategy import STRATEGIES as found\n"
        "loaded = lambda: {m.split('.')[-1] for m in sys.modules if 'data.strategies.' in m}\n"
        "print(found.names(), loaded(), found['random'].__name__, loaded())\n"
        "try: found.register('scaffold')(int)\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "['official', 'random', 'scaffold', 'standard'] set() Random {'random'}",
        "split strategy 'scaffold' is registered twice; choose another name",
    ]


# ----------------------------------------------------- logit adjustment and class_separability


def test_logit_adjustment_equals_its_formula_and_tau_one_is_balanced_softmax() -> None:
    logits = torch.randn(30, 4, generator=seeded(0), dtype=torch.float64)
    labels = torch.arange(30) % 4
    counts = torch.tensor([200, 50, 9, 1])
    for tau in (0.0, 0.5, 1.0, 2.0):
        settings = LogitAdjustment(name="logit_adjustment", tau=tau)
        found = loss("logit_adjustment", settings, logits, labels, counts)
        for i, y in enumerate(labels.tolist()):
            shifted = [
                s + tau * math.log(n / 260)
                for s, n in zip(logits[i].tolist(), counts.tolist(), strict=True)
            ]
            wanted = math.log(sum(map(math.exp, shifted))) - shifted[y]
            assert found[i].item() == pytest.approx(wanted, rel=1e-10)
    settings = LogitAdjustment(name="logit_adjustment")
    one = loss("logit_adjustment", settings, logits, labels, counts)
    torch.testing.assert_close(one, loss("balanced_softmax", None, logits, labels, counts))


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


# --------------------------------------------------------------- the other samplers, weights


LONG_TAIL = [400, 80, 20, 5]
SHARES = {
    "square_root": lambda n, t: n**0.5 / sum(m**0.5 for m in LONG_TAIL),
    "reverse": lambda n, t: (1 / n) / sum(1 / m for m in LONG_TAIL),
    "progressive": lambda n, t: (1 - t) * n / sum(LONG_TAIL) + t / len(LONG_TAIL),
}


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("name", [*SHARES])
def test_a_sampler_draws_classes_by_its_formula_and_molecules_within_them_uniformly(
    name: str, progress: float
) -> None:
    labels, generator = shuffled_labels(LONG_TAIL), seeded(1)
    drawn = torch.cat([SAMPLERS[name](None, labels, generator, progress) for _ in range(100)])
    assert len(drawn) == 100 * len(labels)
    wanted = [SHARES[name](n, progress) * len(drawn) for n in LONG_TAIL]
    assert chisquare(torch.bincount(labels[drawn], minlength=4).numpy(), wanted).pvalue > 1e-5
    per_molecule = torch.bincount(drawn, minlength=len(labels))
    for label in range(4):
        assert chisquare(per_molecule[labels == label].numpy()).pvalue > 1e-5


@given(sizes=SIZES, seed=st.integers(0, 2**62), progress=st.floats(0, 0.999))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("name", [*SHARES])
def test_a_sampler_draws_existing_molecules_alone(
    name: str, sizes: list[int], seed: int, progress: float
) -> None:
    labels = shuffled_labels(sizes)
    drawn = SAMPLERS[name](None, labels, seeded(seed), progress)
    assert len(drawn) == len(labels)
    assert 0 <= drawn.min() <= drawn.max() < len(labels)


@given(sizes=SIZES, seed=st.integers(0, 2**62), multiple=st.sampled_from([1.0, 1.5, 3.0]))
@settings(max_examples=50, deadline=None)
def test_undersampling_takes_molecules_once_and_at_most_so_many_times_the_smallest_class(
    sizes: list[int], seed: int, multiple: float
) -> None:
    labels = shuffled_labels(sizes)
    part = UndersampleSampler(name="undersample", multiple=multiple)
    drawn = SAMPLERS["undersample"](part, labels, seeded(seed), 0.0)
    assert len(drawn.unique()) == len(drawn)
    most = int(multiple * min(n for n in sizes if n))
    counts = torch.bincount(labels[drawn], minlength=len(sizes)).tolist()
    assert counts == [min(n, most) for n in sizes]


def test_undersampling_shows_every_molecule_equally_often_within_its_class() -> None:
    labels, generator = shuffled_labels([60, 30, 6]), seeded(0)
    part = UndersampleSampler(name="undersample")
    drawn = [SAMPLERS["undersample"](part, labels, generator, 0.0) for _ in range(2000)]
    per_molecule = torch.bincount(torch.cat(drawn), minlength=96)
    for label in range(2):
        assert chisquare(per_molecule[labels == label].numpy()).pvalue > 1e-5
    places = torch.stack([labels[order] for order in drawn])
    assert chisquare((places == 0).sum(0).numpy()).pvalue > 1e-5, "in random order"


def test_deferred_sampling_is_instance_and_then_class_balanced() -> None:
    labels, part = shuffled_labels([50, 5]), DeferredSampler(name="deferred", start=0.8)
    for progress, name in ((0.0, "instance"), (0.79, "instance"), (0.8, "class_balanced")):
        found = SAMPLERS["deferred"](part, labels, seeded(3), progress)
        assert torch.equal(found, SAMPLERS[name](None, labels, seeded(3), progress))


def test_every_sampler_there_is_has_a_test_of_its_own() -> None:
    assert set(SAMPLERS.names()) == {*SHARES, "instance", "class_balanced", "undersample",
                                     "deferred"}  # fmt: skip


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
