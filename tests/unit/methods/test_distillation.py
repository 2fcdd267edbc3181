"""Distillation."""

import math

import pytest
import torch
from torch import Tensor

from drugtail.methods.distillation import distillation


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_distillation_is_the_divergence_from_the_flattened_teacher(power: float) -> None:
    logits, teacher = normal(5, 4), 3 * normal(5, 4, seed=1)
    found = distillation(logits, teacher, temperature=2.0, power=power)
    for i in range(5):
        raw = [math.exp(t / 2) for t in teacher[i].tolist()]
        flat = [(r / sum(raw)) ** power for r in raw]
        q = [f / sum(flat) for f in flat]
        said = [math.exp(s / 2) for s in logits[i].tolist()]
        p = [s / sum(said) for s in said]
        wanted = 4 * sum(a * math.log(a / b) for a, b in zip(q, p, strict=True))
        assert found[i].item() == pytest.approx(wanted)
    same = distillation(teacher, teacher, temperature=2.0, power=1.0)
    torch.testing.assert_close(same, torch.zeros(5).double())
    logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: distillation(s, teacher, temperature=2.0, power=power), logits
    )
