"""Losses."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from drugtail.config.components.losses import (
    ClassDependentTemperature,
    DistributionDisentangling,
    DiverseExperts,
    ExpertsCrossEntropy,
    Focal,
    GaussianClouded,
    InfluenceBalanced,
    LabelAwareSmoothing,
    Ldam,
    PriorExperts,
    Seesaw,
    SkillDiverseExperts,
    SoftmaxEqualization,
    TrustworthyExperts,
    VectorScaling,
)
from drugtail.methods.losses import LOSSES, Outcome
from drugtail.runtime.draws import Draws

COUNTS = torch.tensor([500, 80, 13, 2, 1])


N = COUNTS.tolist()


SETTINGS = {
    "cross_entropy": None,
    "balanced_softmax": None,
    "focal": Focal(name="focal"),
    "influence_balanced": InfluenceBalanced(name="influence_balanced"),
    "ldam": Ldam(name="ldam"),
    "vector_scaling": VectorScaling(name="vector_scaling"),
    "class_dependent_temperature": ClassDependentTemperature(name="class_dependent_temperature"),
    "softmax_equalization": SoftmaxEqualization(name="softmax_equalization"),
    "label_aware_smoothing": LabelAwareSmoothing(name="label_aware_smoothing"),
    "seesaw": Seesaw(name="seesaw"),
    "gaussian_clouded": GaussianClouded(name="gaussian_clouded"),
    "distribution_disentangling": DistributionDisentangling(name="distribution_disentangling"),
    "prior_experts": PriorExperts(name="prior_experts"),
    "skill_diverse_experts": SkillDiverseExperts(name="skill_diverse_experts"),
    "experts_cross_entropy": ExpertsCrossEntropy(name="experts_cross_entropy"),
    "diverse_experts": DiverseExperts(name="diverse_experts"),
    "trustworthy_experts": TrustworthyExperts(name="trustworthy_experts"),
}


def outcome(molecules: int = 9, counts: Tensor = COUNTS, seed: int = 0, **more: Any) -> Outcome:
    """A batch in double precision; every class occurs in it."""
    generator = torch.Generator().manual_seed(seed)
    classes = len(counts)
    experts = torch.randn(3, molecules, classes, generator=generator, dtype=torch.float64)
    given = {
        "logits": 3 * torch.randn(molecules, classes, generator=generator, dtype=torch.float64),
        "labels": torch.arange(molecules) % classes,
        "counts": counts,
        "features": torch.randn(molecules, 4, generator=generator, dtype=torch.float64),
        "experts": 2 * experts,
        "scale": 30.0,
        "progress": torch.tensor(0.5, dtype=torch.float64),
        "draws": Draws(torch.tensor(7)),
        "weights": torch.rand(molecules, generator=generator, dtype=torch.float64) + 0.5,
    }
    return Outcome(**{**given, **more})


def loss(name: str, batch: Outcome, part: Any = "default") -> Tensor:
    return LOSSES[name](SETTINGS.get(name) if part == "default" else part, batch)


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def assert_per_molecule(found: Tensor, naive: Any, batch: Outcome) -> None:
    rows = zip(batch.logits.tolist(), batch.labels.tolist(), strict=True)
    wanted = [naive(i, s, y) for i, (s, y) in enumerate(rows)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-9)


def test_every_loss_there_is_stands_in_this_file() -> None:
    assert set(LOSSES.names()) == set(SETTINGS) | {"logit_adjustment"}


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_focal_equals_its_formula(gamma: float) -> None:
    batch = outcome()
    found = loss("focal", batch, Focal(name="focal", gamma=gamma))

    def naive(i: int, s: list[float], y: int) -> float:
        p = softmax(s)[y]
        return -((1 - p) ** gamma) * math.log(p)

    assert_per_molecule(found, naive, batch)


def test_influence_balanced_equals_its_formula_in_the_second_half_and_plain_before() -> None:
    batch = outcome()
    part = InfluenceBalanced(name="influence_balanced", alpha=10.0)

    def naive(i: int, s: list[float], y: int) -> float:
        p = softmax(s)
        error = sum(abs(p[c] - (c == y)) for c in range(5))
        length = sum(abs(v) for v in batch.features[i].tolist())
        return 10 / (error * length + 1e-3) * -math.log(p[y])

    assert_per_molecule(loss("influence_balanced", batch, part), naive, batch)
    early = outcome(progress=torch.tensor(0.49))
    torch.testing.assert_close(
        loss("influence_balanced", early, part), loss("cross_entropy", early)
    )


def test_ldam_takes_the_margin_times_the_scale_off_the_true_logit() -> None:
    batch = outcome()

    def naive(i: int, s: list[float], y: int) -> float:
        margin = 0.5 * N[y] ** -0.25 / max(n**-0.25 for n in N)
        shifted = [v - 30 * margin * (c == y) for c, v in enumerate(s)]
        return -math.log(softmax(shifted)[y])

    assert_per_molecule(loss("ldam", batch), naive, batch)


def test_vector_scaling_equals_its_formula() -> None:
    batch = outcome()

    def naive(i: int, s: list[float], y: int) -> float:
        changed = [
            (n / max(N)) ** 0.15 * v + math.log(n / sum(N)) for n, v in zip(N, s, strict=True)
        ]
        return -math.log(softmax(changed)[y])

    assert_per_molecule(loss("vector_scaling", batch), naive, batch)


def test_class_dependent_temperature_equals_its_formula() -> None:
    batch = outcome()

    def naive(i: int, s: list[float], y: int) -> float:
        return -math.log(softmax([v / (max(N) / n) ** 0.2 for n, v in zip(N, s, strict=True)])[y])

    assert_per_molecule(loss("class_dependent_temperature", batch), naive, batch)


def test_label_aware_smoothing_equals_its_formula() -> None:
    batch = outcome()

    def naive(i: int, s: list[float], y: int) -> float:
        place = (N[y] - min(N)) / (max(N) - min(N))
        amount = 0.1 + 0.3 * math.sin(math.pi / 2 * place)
        p = softmax(s)
        rest = sum(math.log(p[c]) for c in range(5) if c != y)
        return -(1 - amount) * math.log(p[y]) - amount / 4 * rest

    assert_per_molecule(loss("label_aware_smoothing", batch), naive, batch)


def test_softmax_equalization_leaves_rare_classes_out_as_often_as_it_says() -> None:
    """Classes 3 and 4 are rarer than 0.5 %: each counts or does not, but a molecule's own does."""
    batch = outcome(molecules=20_000)
    found = loss("softmax_equalization", batch)
    seen: dict[tuple[int, ...], int] = {}
    others = 0
    for i, (s, y) in enumerate(
        zip(batch.logits[:4000].tolist(), batch.labels[:4000].tolist(), strict=True)
    ):
        rare = [c for c in (3, 4) if c != y]
        wanted = {}
        for absent in ((), *((c,) for c in rare), tuple(rare)):
            shares = sum(math.exp(v) for c, v in enumerate(s) if c not in absent)
            wanted[absent] = math.log(shares) - s[y]
        absent = min(wanted, key=lambda way: abs(wanted[way] - found[i]))
        assert abs(wanted[absent] - found[i]) < 1e-9
        if len(rare) == 2:
            seen[absent] = seen.get(absent, 0) + 1
            others += 1
    assert others > 2000
    for absent, share in (((), 0.01), ((3,), 0.09), ((4,), 0.09), ((3, 4), 0.81)):
        assert abs(seen[absent] / others - share) < 4 * math.sqrt(share * (1 - share) / others)


def test_diverse_experts_equal_their_formula() -> None:
    batch = outcome()
    mean = batch.experts.mean(0).tolist()
    ratio = [0.95 + 0.05 * 5 * n / sum(N) for n in N]
    temperature = [r / max(ratio) for r in ratio]

    def naive(i: int, _: list[float], y: int) -> float:
        total = 0.0
        for expert in batch.experts.tolist():
            margin = 0.5 * N[y] ** -0.25 / max(n**-0.25 for n in N)
            # Class weights weigh the margin loss, not how far experts are apart.
            total -= batch.weights[i].item() * math.log(
                softmax([v - 30 * margin * (c == y) for c, v in enumerate(expert[i])])[y]
            )
            p = softmax([v / t for v, t in zip(mean[i], temperature, strict=True)])
            q = softmax([v / t for v, t in zip(expert[i], temperature, strict=True)])
            divergence = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
            total -= 0.2 * (sum(temperature) / 5) ** 2 * divergence
        return total

    assert_per_molecule(loss("diverse_experts", batch), naive, batch)


def test_trustworthy_experts_equal_their_formula() -> None:
    batch = outcome(scale=1.0)
    weights = [naive_trust(batch.experts[:, i].tolist())[0] for i in range(9)]
    largest = [max(weights[i][m] for i in range(9)) for m in range(3)]

    learned = [[w > 0.54 * top for w, top in zip(row, largest, strict=True)] for row in weights]

    def naive(i: int, y: int) -> float:
        total = 0.0
        for m in range(3):
            if not learned[i][m]:
                continue
            margin = 0.5 * N[y] ** -0.25 / max(n**-0.25 for n in N)
            s = [v - margin * (c == y) for c, v in enumerate(batch.experts[m, i].tolist())]
            alpha = [math.exp(v) + 1 for v in s]
            wrong = torch.tensor([1.0 if c == y else a for c, a in enumerate(alpha)]).double()
            weight = batch.weights[i].item()
            each = -weight * math.log(softmax(s)[y]) + 0.5 * 0.015 * divergence(wrong)
            # So that the mean over the batch is the mean over those that the expert learns.
            total += each * 9 / sum(row[m] for row in learned)
        return total

    def divergence(alpha: Tensor) -> float:
        one = torch.distributions.Dirichlet(alpha)
        other = torch.distributions.Dirichlet(torch.ones_like(alpha))
        return float(torch.distributions.kl_divergence(one, other))

    found = loss("trustworthy_experts", batch)
    rows = [naive(i, int(y)) for i, y in enumerate(batch.labels)]
    assert found.tolist() == pytest.approx(rows, rel=1e-6)
    assert 0 < sum(not one for row in learned for one in row) < 3 * 9


def naive_trust(experts: list[list[float]]) -> tuple[list[float], list[float]]:
    """Weights and uncertainties of TLC for one molecule, expert by expert."""
    weights, uncertainties, before = [1.0], [], None
    for s in experts:
        alpha = [math.exp(v) + 1 for v in s]
        belief = [(a - 1) / sum(alpha) for a in alpha]
        uncertainties.append(len(s) / sum(alpha))
        conflict = 0.0
        if before is not None:
            conflict = sum(
                a * b for i, a in enumerate(before) for j, b in enumerate(belief) if i != j
            )
        weights.append(weights[-1] * uncertainties[-1] / (1 - conflict))
        before = belief
    return weights[:-1], uncertainties


EQUAL = [1, 7, 1000]


@pytest.mark.parametrize("size", EQUAL)
@pytest.mark.parametrize(
    "name",
    ["balanced_softmax", "vector_scaling", "class_dependent_temperature", "softmax_equalization"],
)
def test_with_classes_of_one_size_an_adjusted_loss_is_cross_entropy(name: str, size: int) -> None:
    batch = outcome(counts=torch.full((5,), size))
    torch.testing.assert_close(loss(name, batch), loss("cross_entropy", batch))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("focal", Focal(name="focal", gamma=0.0)),
        ("ldam", Ldam(name="ldam", margin=0.0)),
        ("vector_scaling", VectorScaling(name="vector_scaling", gamma=0.0, tau=0.0)),
        ("class_dependent_temperature",
         ClassDependentTemperature(name="class_dependent_temperature", gamma=0.0)),
        ("softmax_equalization",
         SoftmaxEqualization(name="softmax_equalization", probability=0.0)),
        ("softmax_equalization", SoftmaxEqualization(name="softmax_equalization", threshold=0.0)),
        ("label_aware_smoothing",
         LabelAwareSmoothing(name="label_aware_smoothing", head=0.0, tail=0.0)),
    ],
)  # fmt: skip
def test_a_loss_whose_strength_is_zero_is_cross_entropy(name: str, part: Any) -> None:
    batch = outcome()
    torch.testing.assert_close(loss(name, batch, part), loss("cross_entropy", batch))


def test_seesaw_equals_its_formula() -> None:
    batch = outcome()

    def naive(i: int, s: list[float], y: int) -> float:
        p = softmax(s)
        below = math.exp(s[y])
        for j in range(5):
            if j != y:
                mitigation = (N[j] / N[y]) ** 0.8 if N[y] > N[j] else 1.0
                compensation = (p[j] / p[y]) ** 2.0 if p[j] > p[y] else 1.0
                below += mitigation * compensation * math.exp(s[j])
        return math.log(below) - s[y]

    assert_per_molecule(loss("seesaw", batch), naive, batch)


def test_a_gaussian_cloud_is_as_wide_as_a_class_is_rare() -> None:
    plain = GaussianClouded(name="gaussian_clouded", noise=0.0)
    batch = outcome(molecules=4000)
    own = torch.nn.functional.one_hot(batch.labels, 5)
    wanted = torch.nn.functional.cross_entropy(
        batch.logits - 30 * 0.5 * own, batch.labels, reduction="none"
    )
    torch.testing.assert_close(loss("gaussian_clouded", batch, plain), wanted)
    # From the gradient follows what was taken off: with all logits far below a sixth number of
    # another class nothing can be seen, so the loss of two classes is solved for it.
    two = outcome(molecules=4000, counts=torch.tensor([500, 20]), scale=1.0)
    free = GaussianClouded(name="gaussian_clouded", noise=2.0, margin=0.0)
    logits = torch.zeros(4000, 2, dtype=torch.float64)
    labels = torch.zeros(4000, dtype=torch.long)
    taken = loss("gaussian_clouded", replace(two, logits=logits, labels=labels), free)
    # log(1 + exp(-2 a)) for the class of 500, whose own logit has no noise.
    cloud = -torch.log(torch.expm1(taken)) / 2.0
    assert cloud.min() >= -1e-9
    assert cloud.max() == pytest.approx(1.0, abs=1e-6)
    # The mean of |N(0, 1/3)| cut at 1.
    assert cloud.mean().item() == pytest.approx(math.sqrt(2 / math.pi) / 3, abs=0.01)
    assert (cloud >= 1 - 1e-9).double().mean().item() == pytest.approx(0.0027, abs=0.003)


def test_distribution_disentangling_equals_its_formula() -> None:
    batch = outcome()
    rows, labels = batch.logits.tolist(), batch.labels.tolist()
    total = 0.0
    for c in range(5):
        pi = N[c] / sum(N)
        mine = [s[c] for s, y in zip(rows, labels, strict=True) if y == c]
        first = sum(mine) / len(mine) if mine else 0.0
        shifted = [math.exp(s[c] - math.log(pi) + math.log(1 / 5)) for s in rows]
        normaliser = math.log(sum(shifted) / len(rows))
        total += pi * (first - normaliser - 0.1 * normaliser**2)

    def naive(i: int, s: list[float], y: int) -> float:
        p = softmax([v + math.log(n) for v, n in zip(s, N, strict=True)])
        return -math.log(p[y]) - 0.1 * total

    assert_per_molecule(loss("distribution_disentangling", batch), naive, batch)


def test_experts_of_several_priors_equal_their_formulas() -> None:
    batch = outcome()
    pi = [n / sum(N) for n in N]
    # COUNTS fall from class to class, so that the inverse order is the reverse.
    inverse = pi[::-1]

    def by(shifts: list[list[float]]) -> Any:
        def naive(i: int, _: list[float], y: int) -> float:
            return -sum(
                math.log(softmax([v + b for v, b in zip(e[i], shift, strict=True)])[y])
                for e, shift in zip(batch.experts.tolist(), shifts, strict=True)
            )

        return naive

    strengths = [[t * math.log(p) for p in pi] for t in (0.0, 1.0, 2.0)]
    assert_per_molecule(loss("prior_experts", batch), by(strengths), batch)
    skills = [
        [0.0] * 5, [math.log(p) for p in pi],
        [math.log(p) - 2.0 * math.log(q) for p, q in zip(pi, inverse, strict=True)],
    ]  # fmt: skip
    assert_per_molecule(loss("skill_diverse_experts", batch), by(skills), batch)


def test_the_control_of_experts_is_the_sum_of_their_cross_entropies() -> None:
    batch = outcome()
    wanted = sum(
        torch.nn.functional.cross_entropy(expert, batch.labels, reduction="none")
        for expert in batch.experts
    )
    torch.testing.assert_close(loss("experts_cross_entropy", batch), wanted)


def test_diverse_experts_without_margin_and_diversity_are_the_sum_of_cross_entropies() -> None:
    batch = outcome()
    part = DiverseExperts(name="diverse_experts", margin=0.0, diversity=0.0)
    wanted = sum(
        torch.nn.functional.cross_entropy(e, batch.labels, reduction="none") for e in batch.experts
    )
    found = loss("diverse_experts", batch, part)
    torch.testing.assert_close(found, batch.weights * wanted)


def test_more_diverse_experts_cost_less() -> None:
    batch = outcome()
    alike = outcome(experts=batch.experts.mean(0).expand(3, -1, -1))
    part = DiverseExperts(name="diverse_experts", margin=0.0, diversity=1.0)
    none = DiverseExperts(name="diverse_experts", margin=0.0, diversity=0.0)
    for one, smaller in ((batch, True), (alike, False)):
        difference = loss("diverse_experts", one, none) - loss("diverse_experts", one, part)
        assert bool((difference > 1e-3).all()) is smaller
        assert bool((difference > -1e-9).all())


@pytest.mark.parametrize("name", [*SETTINGS])
def test_the_order_of_the_classes_does_not_matter(name: str) -> None:
    batch = outcome()
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = outcome(
        logits=batch.logits[:, order], experts=batch.experts[:, :, order],
        counts=COUNTS[order], labels=order.argsort()[batch.labels],
    )  # fmt: skip
    torch.testing.assert_close(loss(name, moved), loss(name, batch))


@pytest.mark.parametrize("name", [*SETTINGS])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    batch = outcome(molecules=5, scale=1.0)

    def of(logits: Tensor, experts: Tensor) -> Tensor:
        return loss(name, outcome(molecules=5, logits=logits, experts=experts, scale=1.0))

    logits, experts = (t.clone().requires_grad_() for t in (batch.logits, batch.experts))
    if name == "diverse_experts":
        # The mean is held constant on purpose: compared with the same held constant.
        (found,) = torch.autograd.grad(of(logits, experts).sum(), [experts])
        (wanted,) = torch.autograd.grad(mean_held_constant(experts).sum(), [experts])
        torch.testing.assert_close(found, wanted)
        return
    if name == "seesaw":
        # Its factors are held constant on purpose.
        (found,) = torch.autograd.grad(of(logits, experts).sum(), [logits])
        (wanted,) = torch.autograd.grad(seesaw_held_constant(logits).sum(), [logits])
        torch.testing.assert_close(found, wanted)
        return
    uses_experts = name.endswith("experts") or name == "experts_cross_entropy"
    assert torch.autograd.gradcheck(
        (lambda e: of(batch.logits, e)) if uses_experts else (lambda s: of(s, batch.experts)),
        experts if uses_experts else logits,
    )


def seesaw_held_constant(logits: Tensor) -> Tensor:
    y = outcome(molecules=5).labels
    total = []
    for s, one in zip(logits, y.tolist(), strict=True):
        p = s.detach().softmax(0)
        factors = [
            min(1.0, N[j] / N[one]) ** 0.8 * max(1.0, float(p[j] / p[one])) ** 2.0
            for j in range(len(N))
        ]
        below = sum(f * v.exp() for f, v in zip(factors, s, strict=True))
        total.append(below.log() - s[one])
    return torch.stack(total)


def mean_held_constant(experts: Tensor) -> Tensor:
    y, weights = outcome(molecules=5).labels, outcome(molecules=5).weights
    margin = 0.5 * COUNTS.double() ** -0.25 / (COUNTS.double() ** -0.25).max()
    temperature = 0.95 + 0.05 * 5 * COUNTS / COUNTS.sum()
    temperature = temperature / temperature.max()
    mean = (experts.mean(0) / temperature).softmax(1).detach()
    total = torch.zeros(len(y), dtype=torch.float64)
    for expert in experts:
        shifted = expert - torch.nn.functional.one_hot(y, 5) * margin
        total = total + weights * torch.nn.functional.cross_entropy(shifted, y, reduction="none")
        kl = torch.nn.functional.kl_div(
            (expert / temperature).log_softmax(1), mean, reduction="none"
        ).sum(1)
        total = total - 0.2 * temperature.mean() ** 2 * kl
    return total


@pytest.mark.parametrize("name", [*SETTINGS])
@given(
    logits=st.lists(st.floats(-100, 100, width=32), min_size=5, max_size=5),
    label=st.integers(0, 4),
)
@settings(max_examples=30, deadline=None)
def test_losses_and_gradients_stay_finite_for_any_logits(
    name: str, logits: list[float], label: int
) -> None:
    s = torch.tensor([logits], requires_grad=True)
    e = (torch.tensor([[logits]] * 3) * 0.3).requires_grad_()
    features = torch.zeros(1, 4)
    batch = outcome(
        molecules=1, logits=s, experts=e, labels=torch.tensor([label]), features=features
    )
    found = loss(name, batch)
    assert found.isfinite().all()
    for gradient in torch.autograd.grad(found.sum(), [s, e], allow_unused=True):
        assert gradient is None or gradient.isfinite().all()
