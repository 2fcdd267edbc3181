"""Losses that have no family, and logit adjustment."""

import math
from typing import Any

import pytest
import torch
from class_sizes import seeded
from torch import Tensor

from drugtail.config.components.losses import LogitAdjustment
from drugtail.methods.losses import LOSSES, Outcome
from drugtail.runtime.draws import Draws


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
        "weights": torch.ones(len(labels), dtype=logits.dtype),
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
