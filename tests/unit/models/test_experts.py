"""Combining experts."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from drugtail.methods.losses import Outcome
from drugtail.models.experts import combine_by_evidence, trust
from drugtail.runtime.draws import Draws

COUNTS = torch.tensor([500, 80, 13, 2, 1])


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
        "weights": torch.ones(molecules, dtype=torch.float64),
    }
    return Outcome(**{**given, **more})


def softmax(values: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in values)
    return [math.exp(v) / total for v in values]


def test_trust_and_its_combination_equal_a_naive_computation() -> None:
    experts = outcome(seed=3).experts
    found, (logits, uncertainty) = trust(experts), combine_by_evidence(experts)
    for i in range(9):
        weights, uncertainties = naive_trust(experts[:, i].tolist())
        assert found.weight[:, i].tolist() == pytest.approx(weights)
        assert found.uncertainty[:, i].tolist() == pytest.approx(uncertainties)
        share = softmax([w / 0.2 for w in weights])
        wanted = [sum(a * e for a, e in zip(share, column, strict=True)) for column in
                  experts[:, i].T.tolist()]  # fmt: skip
        assert logits[i].tolist() == pytest.approx(wanted)
        assert uncertainty[i].item() == pytest.approx(5 / sum(math.exp(s) + 1 for s in wanted))


def test_an_expert_without_any_evidence_is_wholly_uncertain_and_a_sure_one_hardly() -> None:
    nothing = torch.full((3, 1, 4), -200.0)
    sure = torch.tensor([[30.0, -30.0, -30.0, -30.0]]).expand(3, 1, 4)
    assert combine_by_evidence(nothing)[1].item() == pytest.approx(1)
    assert 0 < combine_by_evidence(sure)[1].item() < 1e-9
    # Experts that contradict each other as much as can be.
    torn = torch.stack([sure[0], sure[0].flip(1), sure[0]])
    assert all(t.isfinite().all() for t in (*combine_by_evidence(torn), trust(torn).weight))


def test_a_sure_first_expert_decides_and_an_unsure_one_counts_like_the_others() -> None:
    """The later ones know only what the first was unsure of: where it is sure they are noise."""
    first = torch.tensor([[20.0, -30.0, -30.0, -30.0], [-9.0, -10.0, -11.0, -12.0]])
    later = torch.tensor([[-30.0, 30.0, -30.0, -30.0], [-9.0, -6.0, -9.0, -9.0]])
    logits, _ = combine_by_evidence(torch.stack([first, later, later]))
    assert logits.argmax(dim=1).tolist() == [0, 1]
    torch.testing.assert_close(logits[1], (first[1] + 2 * later[1]) / 3, rtol=0, atol=0.01)


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
