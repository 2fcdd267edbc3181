"""Sharpness-aware steps against gradients taken by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small_training import MakeFiles, recipe, seed_inputs, training
from torch import Tensor

from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.recipe import Recipe
from drugtail.models.network import Network
from drugtail.training.seed_batch import SeedBatch

ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])
KEYS = torch.tensor([5, 6])


@pytest.fixture
def files(make_files: MakeFiles) -> Any:
    return make_files((70, 30, 10))


def run_of(files: Any, method: str, **changes: Any) -> SeedBatch:
    problem, store, _ = seed_inputs(files, method)
    own = recipe(method, optimizer={"name": "adam", "weight_decay": 0.0}, **changes)
    return SeedBatch(problem, store, own, ENCODER, training(), (0, 1), False)


def gradients(network: Network, run: SeedBatch, drawn: Tensor, rows: Tensor) -> list[Tensor]:
    """Gradients of the batch mean of some rows' losses, in training mode."""
    labels = run.objective.classes.labels[drawn]
    logits = network(run.store.batch(run.subsets["train"][drawn])).logits
    losses = torch.nn.functional.cross_entropy(logits.mT, labels, reduction="none")
    trained = [p for p in network.parameters() if p.requires_grad]
    return list(torch.autograd.grad((losses * rows).mean(1).sum(), trained))


def moved(network: Network, by: list[Tensor], radius: float, seed: int) -> Network:
    """Return the network with one seed's weights a step along its gradient."""
    other = copy.deepcopy(network)
    norm = sum(float(g[seed].square().sum()) for g in by) ** 0.5
    with torch.no_grad():
        trained = [p for p in other.parameters() if p.requires_grad]
        for parameter, gradient in zip(trained, by, strict=True):
            parameter[seed] += radius * gradient[seed] / norm
    return other


@pytest.mark.parametrize(("method", "small"), [
    ("sharpness_aware", [True, True, True]), ("tail_sharpness_aware", [False, True, True]),
])  # fmt: skip
def test_the_gradient_is_that_of_the_steepest_place_near_by(
    files: Any, method: str, small: list[bool]
) -> None:
    run = run_of(files, method)
    counts = run.objective.classes.counts
    if not all(small):
        assert (counts < counts.sum() / 3).tolist() == small
    drawn = torch.arange(40).repeat(2, 1)
    tail = torch.tensor(small)[run.objective.classes.labels[drawn]].float()
    assert tail.sum() > 0
    before = copy.deepcopy(run.network).train()
    run.network.train()
    run.update(drawn, KEYS)
    found = [p.grad for p in run.network.parameters() if p.requires_grad]
    steep = gradients(copy.deepcopy(before), run, drawn, tail)
    plain = gradients(copy.deepcopy(before), run, drawn, 1 - tail)
    for seed in (0, 1):
        there = gradients(moved(before, steep, 0.05, seed), run, drawn, tail)
        for one, wanted, head in zip(found, there, plain, strict=True):
            assert one is not None
            torch.testing.assert_close(one[seed], wanted[seed] + head[seed], rtol=2e-3, atol=2e-6)
    # It is another gradient than that of the weights as they are, and the weights came back.
    assert any(
        not torch.allclose(one, here + head, rtol=1e-2, atol=1e-5)
        for one, here, head in zip(found, steep, plain, strict=True)
        if one is not None
    )
    rate = run.training.learning_rate
    for one, other in zip(run.network.parameters(), before.parameters(), strict=True):
        assert (one - other).abs().max() <= 1.01 * rate
    # Statistics of normalisations moved once, by those of the weights as they were.
    once = copy.deepcopy(before)
    once(run.store.batch(run.subsets["train"][drawn]))
    for (name, one), (_, wanted) in zip(
        run.network.named_buffers(), once.named_buffers(), strict=True
    ):
        torch.testing.assert_close(one, wanted, msg=name)


def test_sharpness_is_refused_with_what_has_no_loss_of_each_molecule() -> None:
    plain: Recipe = recipe("sharpness_aware")
    assert plain.sharpness is not None
    with pytest.raises(Exception, match=r"sharpness cannot be together with views, mixing or"):
        recipe("crt", sharpness={"radius": 0.05})
