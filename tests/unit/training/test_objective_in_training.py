"""The objective in a training."""

from typing import Any

import pytest
import torch
from small_training import CATALOGUE, Step

from drugtail.config.schedule import refresh_epochs
from drugtail.methods.contrastive import CONTRASTIVE
from drugtail.methods.losses import LOSSES
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.registry import Registry
from drugtail.training import objective as objective_module


@pytest.mark.parametrize("method", ["cross_entropy", "cost_sensitive", "balanced_softmax"])
def test_a_classification_loss_is_the_weighted_mean_its_formula_gives(
    files: Any, method: str
) -> None:
    step = Step(files, method)
    drawn = torch.arange(0, len(step.labels), 3)
    found = step.losses(drawn, epoch=0)
    batch = step.store.batch(step.train[drawn][None])
    (logits,) = step.network(batch).logits
    counts = torch.bincount(step.labels).double()
    weights = torch.ones(3, dtype=torch.float64)
    if method == "cost_sensitive":
        weights = counts.min() / counts
        weights = weights / weights.mean()
    if method == "balanced_softmax":
        logits = logits + counts.log()
    y = step.labels[drawn]
    chosen = logits.double().log_softmax(1)[torch.arange(len(y)), y]
    wanted = -(weights[y] * chosen).sum() / weights[y].sum()
    assert found.total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert found.classification.item() == found.total.item()
    assert found.contrastive.item() == 0


def test_a_loss_that_is_a_mean_is_refused(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = LOSSES["cross_entropy"]
    changed: Registry[Any] = Registry("loss")
    changed.register("cross_entropy")(lambda *inputs: loss(*inputs).mean())
    monkeypatch.setattr(objective_module, "LOSSES", changed)
    step = Step(files, "cross_entropy")
    with pytest.raises(DrugtailError, match=r"loss 'cross_entropy'.* \[\] .*must give \[30\]"):
        step.losses(torch.arange(30), epoch=0)


def test_a_contrastive_term_that_is_no_mean_is_refused(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    term = CONTRASTIVE["supervised"]
    changed: Registry[Any] = Registry("contrastive term")
    changed.register("supervised")(lambda *inputs: term(*inputs).expand(30))
    monkeypatch.setattr(objective_module, "CONTRASTIVE", changed)
    step = Step(files, "supcon")
    with pytest.raises(DrugtailError, match=r"term 'supervised'.* \[30\] .*must give \[\]"):
        step.losses(torch.arange(30), epoch=0)


@pytest.mark.parametrize(
    ("scale", "warmup", "refresh"),
    [(1.0, 10, range(10, 60, 10)), (0.1, 1, range(1, 60)), (0.25, 2, range(2, 60, 2)),
     (0.01, 1, range(1, 60))],
)  # fmt: skip
def test_schedule_scale_shortens_warm_up_and_refresh_to_at_least_one_epoch(
    files: Any, scale: float, warmup: int, refresh: range
) -> None:
    objective = Step(files, "class_distance", scale).objective
    assert [objective.trains_classifier(e) for e in range(60)] == [e >= warmup for e in range(60)]
    assert refresh_epochs(CATALOGUE.recipe("class_distance"), 60, scale) == refresh


def test_methods_without_geometry_train_the_classifier_at_once_and_never_cluster(
    files: Any,
) -> None:
    objective = Step(files, "balanced_softmax").objective
    assert all(objective.trains_classifier(epoch) for epoch in range(30))
    assert len(refresh_epochs(CATALOGUE.recipe("balanced_softmax"), 30, 1.0)) == 0


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("method", ["cross_entropy", "balanced_softmax", "class_distance"])
def test_a_batch_of_one_class_only_has_a_finite_loss_and_gradient(
    files: Any, method: str, size: int, clustered: bool
) -> None:
    step = Step(files, method)
    if clustered and step.recipe.needs_geometry:
        step.cluster()
    for label in range(3):
        drawn = (step.labels == label).nonzero()[:size, 0]
        losses = step.losses(drawn, epoch=5)
        step.network.zero_grad()
        losses.total.backward()
        assert losses.total.isfinite()
        gradients = [p.grad for p in step.network.parameters() if p.requires_grad]
        assert all(g is not None and g.isfinite().all() for g in gradients)


def test_a_batch_of_one_molecule_has_a_finite_loss_where_two_views_make_it_two(
    files: Any,
) -> None:
    step = Step(files, "class_distance")
    step.cluster()
    losses = step.losses(torch.tensor([0]), epoch=5)
    losses.total.backward()
    assert losses.total.isfinite()
    assert losses.contrastive.item() == pytest.approx(0, abs=1e-6)
