"""Contrastive terms."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from drugtail.config.components.contrastive import (
    BalancedContrastive,
    ClassInstanceContrastive,
    KPositiveContrastive,
    ParametricContrastive,
    SubclusterContrastive,
    SupervisedContrastive,
    TargetedContrastive,
)
from drugtail.methods.contrastive import CONTRASTIVE, ViewBatch
from drugtail.methods.contrastive_losses import balanced_contrastive, supervised_contrastive
from drugtail.runtime.draws import Draws

LABELS = [0, 0, 0, 0, 1, 1, 2, 0, 3]


COUNTS = [60, 25, 9, 2]


PARTS = {
    "supervised": SupervisedContrastive(name="supervised"),
    "subcluster": SubclusterContrastive(name="subcluster"),
    "balanced": BalancedContrastive(name="balanced"),
    "k_positive": KPositiveContrastive(name="k_positive", positives=2),
    "targeted": TargetedContrastive(name="targeted", positives=2),
    "parametric": ParametricContrastive(name="parametric", queue=5),
    "class_instance": ClassInstanceContrastive(name="class_instance", weight=0.7),
}


VIEWS = [(i, v) for i in range(len(LABELS)) for v in range(2)]


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def batch(labels: list[int] | None = None, **more: Any) -> ViewBatch:
    labels = LABELS if labels is None else labels
    n = len(labels)
    logits = normal(n, 2, 4, seed=1)
    y = torch.tensor(labels)
    losses = torch.stack([cross_entropy(logits[:, v], y, reduction="none") for v in range(2)], 1)
    given = {
        "views": normalize(normal(n, 2, 6, seed=0), dim=2),
        "labels": y,
        "subclusters": y,
        "logits": logits,
        "losses": losses,
        "counts": torch.tensor(COUNTS),
        "temperatures": torch.full((4,), 0.1, dtype=torch.float64),
        "draws": Draws(torch.tensor(5)),
        "clustered": True,
        "centres": normalize(normal(4, 6, seed=2), dim=1),
        "targets": normalize(normal(4, 6, seed=3), dim=1),
        "keys": normalize(normal(n, 2, 6, seed=4), dim=2),
        "queue": normalize(normal(5, 6, seed=6), dim=1),
        "queue_labels": torch.tensor([0, 1, -1, 2, -1]),
    }
    return ViewBatch(**{**given, **more})


def term(name: str, of: ViewBatch) -> Tensor:
    return CONTRASTIVE[name](PARTS[name], of)


def dot(a: Tensor, b: Tensor) -> float:
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def test_every_contrastive_term_there_is_stands_in_this_file() -> None:
    assert set(CONTRASTIVE.names()) == set(PARTS)


def test_balanced_equals_its_formula() -> None:
    one, total = batch(), 0.0
    assert one.centres is not None
    for i, v in VIEWS:
        z = one.views[i, v]
        members: dict[int, list[float]] = {c: [dot(z, one.centres[c]) / 0.1] for c in range(4)}
        for j, w in VIEWS:
            if (i, v) != (j, w):
                members[LABELS[j]].append(dot(z, one.views[j, w]) / 0.1)
        below = sum(sum(map(math.exp, values)) / len(values) for values in members.values())
        mine = members[LABELS[i]]
        total -= sum(value - math.log(below) for value in mine) / len(mine)
    assert term("balanced", one).item() == pytest.approx(total / len(VIEWS), rel=1e-9)


def test_class_instance_equals_its_formula() -> None:
    one, total = batch(), 0.0
    for i, v in VIEWS:
        z = one.views[i, v]
        others = [(j, w) for j, w in VIEWS if j != i]
        below = sum(math.exp(dot(z, one.views[j, w]) / 0.1) for j, w in others)
        positives = [(j, w) for j, w in others if LABELS[j] == LABELS[i]]
        contrast = sum(math.log(below) - dot(z, one.views[j, w]) / 0.1 for j, w in positives)
        k = len(positives)
        total += (one.losses[i, v].item() + 0.7 * contrast) / (1 + 0.7 * k)
    assert term("class_instance", one).item() == pytest.approx(total / len(VIEWS), rel=1e-9)


def test_class_instance_without_weight_is_cross_entropy() -> None:
    part = ClassInstanceContrastive(name="class_instance", weight=0.0)
    one = batch()
    assert CONTRASTIVE["class_instance"](part, one).item() == pytest.approx(
        one.losses.mean().item()
    )


def test_parametric_equals_its_formula() -> None:
    one, total, part = batch(), 0.0, PARTS["parametric"]
    assert one.keys is not None
    assert one.queue is not None
    for i, v in VIEWS:
        z, y = one.views[i, v], LABELS[i]
        centres = [
            s + math.log(n / sum(COUNTS))
            for s, n in zip(one.logits[i, v].tolist(), COUNTS, strict=True)
        ]
        keys = [
            (LABELS[j], dot(z, one.keys[j, w]) / part.temperature)
            for j, w in VIEWS
            if (j, w) != (i, v)
        ]
        for key, label in zip(one.queue, [0, 1, -1, 2, -1], strict=True):
            if label >= 0:
                keys.append((label, dot(z, key) / part.temperature))
        below = math.log(sum(map(math.exp, centres)) + sum(math.exp(s) for _, s in keys))
        mine = [s for label, s in keys if label == y]
        # A class above the mean size has as much weight as one of that size.
        alpha = part.alpha / max(1.0, len(COUNTS) * COUNTS[y] / sum(COUNTS))
        found = centres[y] - below + alpha * sum(s - below for s in mine)
        total -= found / (1 + alpha * len(mine))
    assert term("parametric", one).item() == pytest.approx(total / len(VIEWS), rel=1e-9)


def test_parametric_without_molecules_among_the_positives_learns_the_centres_alone() -> None:
    part = ParametricContrastive(name="parametric", alpha=0.0, temperature=1e6)
    one = batch(queue_labels=torch.full((5,), -1))
    prior = (one.counts / one.counts.sum()).log()
    shifted = torch.cat([one.logits[:, 0], one.logits[:, 1]]) + prior
    # Keys as far as they count, all alike at this temperature: 17 numbers of exp(0).
    below = torch.cat([shifted, torch.zeros(18, 17)], 1).logsumexp(1)
    wanted = (below - shifted[torch.arange(18), one.labels.repeat(2)]).mean()
    assert CONTRASTIVE["parametric"](part, one).item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize("k", [1, 2, 3, 50])
def test_k_positive_draws_the_own_other_view_and_k_more_of_the_class(k: int) -> None:
    """Every candidate as often as any other; with as many as there are it is the plain loss."""
    one = batch()
    part = KPositiveContrastive(name="k_positive", positives=k)
    if k == 50:
        wanted = supervised_contrastive(one.views, one.labels, temperature=0.1)
        torch.testing.assert_close(CONTRASTIVE["k_positive"](part, one), wanted)
        return
    values = [
        CONTRASTIVE["k_positive"](part, batch(draws=Draws(torch.tensor(seed)))).item()
        for seed in range(400)
    ]
    total = 0.0
    for i, v in VIEWS:
        z = one.views[i, v]
        below = math.log(
            sum(math.exp(dot(z, one.views[j, w]) / 0.1) for j, w in VIEWS if (j, w) != (i, v))
        )
        own = below - dot(z, one.views[i, 1 - v]) / 0.1
        rest = [
            below - dot(z, one.views[j, w]) / 0.1
            for j, w in VIEWS
            if j != i and LABELS[j] == LABELS[i]
        ]
        drawn = min(k, len(rest))
        mean = sum(rest) / len(rest) if rest else 0.0
        total += (own + drawn * mean) / (1 + drawn)
    spread = torch.tensor(values).std().item() / math.sqrt(len(values))
    assert spread > 0
    assert abs(sum(values) / len(values) - total / len(VIEWS)) < 4 * spread


def test_targeted_adds_the_targets_to_the_denominator_and_the_own_one_to_the_positives() -> None:
    part = TargetedContrastive(name="targeted", positives=50, target_weight=0.3)
    one, total = batch(), 0.0
    assert one.targets is not None
    for i, v in VIEWS:
        z = one.views[i, v]
        to_targets = [dot(z, t) / 0.1 for t in one.targets]
        others = [(j, dot(z, one.views[j, w]) / 0.1) for j, w in VIEWS if (j, w) != (i, v)]
        below = math.log(sum(map(math.exp, to_targets)) + sum(math.exp(s) for _, s in others))
        mine = [s for j, s in others if LABELS[j] == LABELS[i]]
        drawn = 0.3 * (to_targets[LABELS[i]] - below)
        total -= (sum(s - below for s in mine) + drawn) / (len(mine) + 1)
    found = CONTRASTIVE["targeted"](part, one).item()
    assert found == pytest.approx(total / len(VIEWS), rel=1e-9)


def test_targeted_without_targets_yet_is_k_positive() -> None:
    found, wanted = (term(name, batch(targets=None)) for name in ("targeted", "k_positive"))
    assert found.item() == wanted.item()


@pytest.mark.parametrize("name", [*PARTS])
@pytest.mark.parametrize("labels", [[2], [1, 1, 1], [0, 1, 2, 3], LABELS])
def test_terms_and_gradients_are_finite_for_any_mixture_of_classes(
    name: str, labels: list[int]
) -> None:
    views = normalize(normal(len(labels), 2, 6, seed=0), dim=2).float().requires_grad_()
    found = term(name, batch(labels, views=views))
    (gradient,) = torch.autograd.grad(found, views)
    assert found.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", [*PARTS])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    views = batch().views.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: term(name, batch(views=x)), views)


@pytest.mark.parametrize("name", [*PARTS])
def test_under_mixed_precision_terms_are_those_of_single_precision(name: str) -> None:
    """With more views of a class than half precision can count."""
    labels = [0] * 150 + [1] * 3
    single = {
        field: value.float()
        for field, value in vars(batch(labels)).items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    wanted = term(name, batch(labels, **single))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = term(name, batch(labels, **single))
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", [*PARTS])
def test_the_order_of_the_classes_does_not_matter(name: str) -> None:
    order = torch.tensor([2, 0, 3, 1])
    new = order.argsort()
    one = batch()
    assert one.centres is not None
    assert one.targets is not None
    queue_labels = torch.tensor([new[0], new[1], -1, new[2], -1])
    moved = batch(
        new[one.labels].tolist(), logits=one.logits[:, :, order], losses=one.losses,
        counts=one.counts[order], centres=one.centres[order], targets=one.targets[order],
        queue_labels=queue_labels,
    )  # fmt: skip
    torch.testing.assert_close(term(name, moved), term(name, one))


def test_shapes_and_temperatures_that_do_not_fit_are_refused() -> None:
    one = batch()
    assert one.centres is not None
    with pytest.raises(ValueError, match="temperature"):
        balanced_contrastive(one.views, one.labels, one.centres, temperature=0)
    with pytest.raises(ValueError, match="views"):
        balanced_contrastive(one.views[:, 0], one.labels, one.centres, temperature=0.1)
