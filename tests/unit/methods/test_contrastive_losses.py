"""Contrastive losses against their formulas, written as loops, and against a published one."""

import math
from collections.abc import Callable

import pytest
import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor
from torch.nn.functional import normalize

from drugtail.methods.contrastive_losses import subcluster_contrastive, supervised_contrastive

Loss = Callable[[Tensor], Tensor]
LABELS = [0, 0, 0, 0, 1, 1, 1, 3, 3, 2]
SUBCLUSTERS = [0, 0, 1, 1, 2, 2, 3, 5, 5, 4]
CLASS_TEMPERATURE = [0.2, 0.35, 0.1, 0.15]
BETA = 0.25


def random_views(molecules: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(molecules, 2, 6, generator=generator, dtype=dtype), dim=2)


# ------------------------------------------------------------- the formulas of METHODS.md


def naive_term(
    views: Tensor,
    is_positive: Callable[[int, int], bool],
    is_compared: Callable[[int, int], bool],
    temperature: Callable[[int], float],
) -> float:
    """Mean over anchors with positives; the arguments number the molecules of two views."""
    flat = [(i, views[i, v].tolist()) for i in range(len(views)) for v in range(2)]
    per_anchor = []
    for position, (i, z) in enumerate(flat):
        tau = temperature(i)
        others = [other for p, other in enumerate(flat) if p != position]
        exponentials = [
            (j, math.exp(sum(a * b for a, b in zip(z, other, strict=True)) / tau))
            for j, other in others
        ]
        total = sum(value for j, value in exponentials if is_compared(i, j))
        logs = [math.log(value / total) for j, value in exponentials if is_positive(i, j)]
        if logs:
            per_anchor.append(-sum(logs) / len(logs))
    return sum(per_anchor) / len(per_anchor) if per_anchor else 0.0


def naive_supervised(views: Tensor, labels: list[int], temperature: float) -> float:
    return naive_term(
        views, lambda i, j: labels[i] == labels[j], lambda i, j: True, lambda i: temperature
    )


def naive_subcluster(
    views: Tensor,
    labels: list[int],
    subclusters: list[int],
    temperature: float,
    class_temperature: list[float],
    beta: float,
) -> float:
    within = naive_term(
        views,
        lambda i, j: subclusters[i] == subclusters[j],
        lambda i, j: True,
        lambda i: temperature,
    )
    between = naive_term(
        views,
        lambda i, j: labels[i] == labels[j] and subclusters[i] != subclusters[j],
        lambda i, j: subclusters[i] != subclusters[j],
        lambda i: class_temperature[labels[i]],
    )
    return within + beta * between


def subcluster_loss(
    views: Tensor,
    labels: list[int],
    subclusters: list[int],
    *,
    temperature: float = 0.1,
    class_temperature: list[float] = CLASS_TEMPERATURE,
    beta: float = BETA,
) -> Tensor:
    return subcluster_contrastive(
        views,
        torch.tensor(labels),
        torch.tensor(subclusters),
        temperature=temperature,
        class_temperature=torch.tensor(class_temperature, dtype=views.dtype),
        beta=beta,
    )


@pytest.mark.parametrize("temperature", [0.07, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_supervised_contrastive_equals_its_formula(temperature: float, seed: int) -> None:
    views = random_views(len(LABELS), seed)
    found = supervised_contrastive(views, torch.tensor(LABELS), temperature=temperature)
    assert found.item() == pytest.approx(naive_supervised(views, LABELS, temperature), rel=1e-10)


@pytest.mark.parametrize("beta", [0.0, 0.25, 2.0])
@pytest.mark.parametrize("seed", range(3))
def test_subcluster_contrastive_equals_its_formula(beta: float, seed: int) -> None:
    views = random_views(len(LABELS), seed)
    found = subcluster_loss(views, LABELS, SUBCLUSTERS, beta=beta)
    wanted = naive_subcluster(views, LABELS, SUBCLUSTERS, 0.1, CLASS_TEMPERATURE, beta)
    assert found.item() == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("labels", [LABELS, list(range(10)), [0, 1] * 5])
def test_supervised_contrastive_equals_that_of_pytorch_metric_learning(labels: list[int]) -> None:
    views = random_views(10)
    theirs = SupConLoss(temperature=0.1)
    wanted = theirs(views.transpose(0, 1).flatten(0, 1), torch.tensor(labels).repeat(2))
    found = supervised_contrastive(views, torch.tensor(labels), temperature=0.1)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-9)


@pytest.mark.parametrize("subclusters", [SUBCLUSTERS, list(range(10)), [0, 1] * 5])
def test_the_term_within_sub_clusters_is_that_of_pytorch_metric_learning(
    subclusters: list[int],
) -> None:
    views = random_views(10)
    flat = views.transpose(0, 1).reshape(20, -1)
    wanted = SupConLoss(temperature=0.1)(flat, torch.tensor(subclusters).repeat(2))
    labels = [s // 2 for s in subclusters] if subclusters != SUBCLUSTERS else LABELS
    found = subcluster_loss(views, labels, subclusters, beta=0.0, class_temperature=[0.2] * 5)
    torch.testing.assert_close(found, wanted)


def test_classes_absent_from_a_batch_change_nothing() -> None:
    """Names with gaps, and temperatures of classes that do not occur."""
    views = random_views(6)
    labels, subclusters = [0, 0, 0, 2, 2, 2], [0, 0, 1, 4, 4, 7]
    found = subcluster_loss(views, labels, subclusters)
    renamed = subcluster_loss(
        views, [0, 0, 0, 1, 1, 1], [0, 0, 1, 2, 2, 3],
        class_temperature=[CLASS_TEMPERATURE[0], CLASS_TEMPERATURE[2]],
    )  # fmt: skip
    wanted = naive_subcluster(views, labels, subclusters, 0.1, CLASS_TEMPERATURE, BETA)
    assert found.item() == pytest.approx(wanted, rel=1e-10)
    torch.testing.assert_close(found, renamed)


def test_with_one_subcluster_per_class_it_is_the_supervised_contrastive_loss() -> None:
    views = random_views(len(LABELS))
    plain = supervised_contrastive(views, torch.tensor(LABELS), temperature=0.1)
    assert subcluster_loss(views, LABELS, LABELS).item() == pytest.approx(plain.item(), rel=1e-12)


def test_a_classs_temperature_matters_only_for_anchors_of_that_class() -> None:
    views = random_views(len(LABELS))
    base = subcluster_loss(views, LABELS, SUBCLUSTERS).item()
    changed = [*CLASS_TEMPERATURE]
    # Class 2 has one molecule, class 3 one sub-cluster: neither has class-level positives.
    changed[2:] = [0.9, 0.9]
    same = subcluster_loss(views, LABELS, SUBCLUSTERS, class_temperature=changed)
    assert same.item() == base
    changed[0] = 0.9
    other = subcluster_loss(views, LABELS, SUBCLUSTERS, class_temperature=changed)
    assert other.item() != pytest.approx(base, rel=1e-3)


def test_order_of_molecules_and_of_views_and_names_of_subclusters_do_not_matter() -> None:
    views = random_views(len(LABELS))
    base = subcluster_loss(views, LABELS, SUBCLUSTERS).item()
    order = torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(0)).tolist()
    labels, subclusters = [LABELS[i] for i in order], [SUBCLUSTERS[i] + 7 for i in order]
    shuffled = subcluster_loss(views[order].flip(1), labels, subclusters)
    assert shuffled.item() == pytest.approx(base, rel=1e-12)


def test_pulling_a_class_together_lowers_both_losses() -> None:
    views = random_views(len(LABELS))
    centres = normalize(torch.eye(6, dtype=torch.float64)[torch.tensor(LABELS)], dim=1)
    closer = normalize(views + 2 * centres[:, None], dim=2)
    labels = torch.tensor(LABELS)
    assert supervised_contrastive(closer, labels, temperature=0.1) < supervised_contrastive(
        views, labels, temperature=0.1
    )
    assert subcluster_loss(closer, LABELS, SUBCLUSTERS) < subcluster_loss(
        views, LABELS, SUBCLUSTERS
    )


# ------------------------------------------------------------------------------ gradients


def test_gradients_of_supervised_contrastive_are_right() -> None:
    views = random_views(6).requires_grad_()
    labels = torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(
        lambda v: supervised_contrastive(v, labels, temperature=0.3), views
    )


def test_gradients_of_subcluster_contrastive_are_right() -> None:
    views = random_views(6).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: subcluster_loss(
            v, [0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 3, 4], temperature=0.3,
            class_temperature=[0.4, 0.5, 0.3],
        ),
        views,
    )  # fmt: skip


# ------------------------------------------------------------------------ degenerate cases

CASES = {
    "one molecule per class": ([0, 1, 2, 3], [0, 1, 2, 3]),
    "one sub-cluster per class": ([0, 0, 1, 1], [0, 0, 1, 1]),
    "one class, one sub-cluster": ([2, 2, 2, 2], [0, 0, 0, 0]),
    "one class, each molecule its own sub-cluster": ([2, 2, 2, 2], [0, 1, 2, 3]),
    "one molecule": ([1], [0]),
    "two molecules of one class, apart": ([1, 1], [0, 1]),
    "two molecules of two classes": ([0, 1], [0, 1]),
}


@pytest.mark.parametrize("identical", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 0.001])
@pytest.mark.parametrize("case", CASES)
def test_degenerate_batches_have_the_right_finite_value_and_finite_gradients(
    case: str, temperature: float, identical: bool
) -> None:
    labels, subclusters = CASES[case]
    views = random_views(len(labels))
    if identical:
        views = views[:1, :1].expand(len(labels), 2, -1).clone()
    hot = [temperature * factor for factor in (1.5, 2.0, 1.0, 3.0)]
    narrow = views.float().requires_grad_()
    losses = {
        "supervised": supervised_contrastive(narrow, torch.tensor(labels), temperature=temperature),
        "subcluster": subcluster_loss(
            narrow, labels, subclusters, temperature=temperature, class_temperature=hot
        ),
    }
    # Loops in float64 overflow below a temperature of about 1/700; values are compared above it.
    if temperature == 0.1:
        supervised = naive_supervised(views, labels, temperature)
        subcluster = naive_subcluster(views, labels, subclusters, temperature, hot, BETA)
        assert losses["supervised"].item() == pytest.approx(supervised, rel=1e-4, abs=1e-5)
        assert losses["subcluster"].item() == pytest.approx(subcluster, rel=1e-4, abs=1e-5)
    for loss in losses.values():
        narrow.grad = None
        assert loss.isfinite()
        loss.backward()
        assert narrow.grad.isfinite().all()


def test_identical_views_give_the_logarithm_of_the_number_of_other_views() -> None:
    views = torch.zeros(5, 2, 3, dtype=torch.float64)
    views[:, :, 0] = 1
    found = supervised_contrastive(views, torch.tensor([0, 0, 1, 1, 2]), temperature=0.1)
    assert found.item() == pytest.approx(math.log(9))


def test_a_single_molecule_has_nothing_to_be_told_from_and_costs_nothing() -> None:
    views = random_views(1)
    assert supervised_contrastive(views, torch.tensor([0]), temperature=0.1).item() == 0.0
    assert subcluster_loss(views, [0], [0]).item() == 0.0


# ------------------------------------------------------------- the authors' code as published


def naive_as_published(
    views: Tensor,
    labels: list[int],
    subclusters: list[int],
    temperature: float,
    class_temperature: list[float],
    beta: float,
) -> float:
    """The two terms with the differences of the authors' code, the own other view in both masks."""
    within = naive_term(
        views,
        lambda i, j: subclusters[i] == subclusters[j],
        lambda i, j: True,
        lambda i: temperature,
    )
    between = naive_term(
        views,
        lambda i, j: i == j or (labels[i] == labels[j] and subclusters[i] != subclusters[j]),
        lambda i, j: i == j or subclusters[i] != subclusters[j],
        lambda i: class_temperature[labels[i]],
    )
    return within * temperature / 0.07 + beta * between


def official_code(
    views: Tensor, labels: list[int], subclusters: list[int], **changes: float
) -> Tensor:
    settings = {"temperature": 0.1, "beta": BETA, **changes}
    return subcluster_contrastive(
        views,
        torch.tensor(labels),
        torch.tensor(subclusters),
        class_temperature=torch.tensor(CLASS_TEMPERATURE, dtype=views.dtype),
        variant="official_code",
        **settings,
    )


@pytest.mark.parametrize("case", [(LABELS, SUBCLUSTERS), (LABELS, LABELS), ([1], [0])])
@pytest.mark.parametrize("seed", range(3))
def test_the_variant_as_published_equals_its_formula(
    case: tuple[list[int], list[int]], seed: int
) -> None:
    labels, subclusters = case
    views = random_views(len(labels), seed)
    wanted = naive_as_published(views, labels, subclusters, 0.1, CLASS_TEMPERATURE, BETA)
    found = official_code(views, labels, subclusters)
    assert found.item() == pytest.approx(wanted, rel=1e-10, abs=1e-12)


def test_the_variants_differ_also_where_every_class_is_one_sub_cluster() -> None:
    views = random_views(len(LABELS))
    paper = subcluster_loss(views, LABELS, LABELS).item()
    without_second = official_code(views, LABELS, LABELS, beta=0.0).item()
    assert without_second == pytest.approx(paper * 0.1 / 0.07)
    assert official_code(views, LABELS, LABELS).item() > without_second


def test_gradients_of_the_variant_as_published_are_right() -> None:
    views = random_views(6).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: official_code(v, [0, 0, 0, 1, 1, 2], [0, 0, 1, 2, 3, 4], temperature=0.3), views
    )


@pytest.mark.parametrize("identical", [False, True])
@pytest.mark.parametrize("temperature", [0.1, 0.001])
@pytest.mark.parametrize("case", CASES)
def test_degenerate_batches_of_the_variant_as_published_have_the_right_finite_value(
    case: str, temperature: float, identical: bool
) -> None:
    labels, subclusters = CASES[case]
    views = random_views(len(labels))
    if identical:
        views = views[:1, :1].expand(len(labels), 2, -1).clone()
    narrow = views.float().requires_grad_()
    loss = official_code(narrow, labels, subclusters, temperature=temperature)
    if temperature == 0.1:
        wanted = naive_as_published(views, labels, subclusters, 0.1, CLASS_TEMPERATURE, BETA)
        assert loss.item() == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    loss.backward()
    assert loss.isfinite()
    assert narrow.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [0.0, -0.1, math.nan])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        supervised_contrastive(random_views(2), torch.tensor([0, 1]), temperature=temperature)
    with pytest.raises(ValueError, match="must be above 0"):
        subcluster_loss(random_views(2), [0, 1], [0, 1], temperature=temperature)


def test_an_unknown_variant_is_refused() -> None:
    views = random_views(2)
    with pytest.raises(ValueError, match="paper or official_code"):
        subcluster_contrastive(
            views, torch.tensor([0, 1]), torch.tensor([0, 1]), temperature=0.1,
            class_temperature=torch.ones(2), beta=0.25, variant="published",
        )  # fmt: skip


@pytest.mark.parametrize("loss", ["supervised", "subcluster"])
def test_under_mixed_precision_the_loss_and_its_gradient_are_those_of_float32(loss: str) -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(32) % 4
    raw = torch.randn(32, 2, 16, generator=generator)

    def value(views: torch.Tensor) -> torch.Tensor:
        if loss == "supervised":
            return supervised_contrastive(views, labels, temperature=0.1)
        return subcluster_contrastive(
            views, labels, torch.arange(32) % 8, temperature=0.1,
            class_temperature=torch.full((4,), 0.2), beta=0.25,
        )  # fmt: skip

    full = torch.nn.functional.normalize(raw, dim=2).requires_grad_()
    mixed = full.detach().clone().requires_grad_()
    value(full).backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value(mixed)
    found.backward()
    assert found.dtype == torch.float32
    assert full.grad is not None
    torch.testing.assert_close(found, value(full))
    torch.testing.assert_close(mixed.grad, full.grad)


def test_views_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \[8, 6\]; \[molecules, 2, dimensions\]"):
        supervised_contrastive(torch.rand(8, 6), torch.zeros(8).long(), temperature=0.1)
    with pytest.raises(ValueError, match="8 molecules have views; labels must be as many"):
        supervised_contrastive(random_views(8), torch.zeros(16).long(), temperature=0.1)
    with pytest.raises(ValueError, match="one value per class"):
        subcluster_contrastive(
            random_views(2), torch.zeros(2).long(), torch.zeros(2).long(), temperature=0.1,
            class_temperature=torch.tensor(0.1), beta=0.25,
        )  # fmt: skip
