"""The proposed method as its authors run it, against a plain loop written from METHODS' table."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from small_training import CPU, ENCODER, recipe, training
from torch import Tensor
from torch.nn import functional as F

from drugtail.config.base import merged
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.methods.views import drop
from drugtail.runtime.draws import Draws
from drugtail.runtime.errors import DrugtailError
from drugtail.training.problem import TRAIN, Problem, read_problem
from drugtail.training.seed_batch import SeedBatch

METHOD = "class_distance_official_code"
EPOCHS, BATCH, RATE, DECAY = 4, 16, 1e-3, 0.99
# Ten epochs of warm-up become one, ten between two re-clusterings one, the delay stays one.
SCALE = 0.1
TAU, BETA = 0.1, 0.25


class Recorded(SeedBatch):
    """A training that notes which molecules each step drew, and its source of randomness."""

    steps: list[tuple[int, Tensor, Tensor]]

    def update(self, drawn: Tensor, keys: Tensor) -> None:
        self.steps.append((self.epoch, drawn[0].clone(), keys[0].clone()))
        super().update(drawn, keys)


def started(files: Any) -> tuple[Recorded, Problem, GraphStore]:
    problem, store = (
        read_problem(files.molecules, files.split),
        GraphStore(load_arrays(files.atoms), CPU),
    )
    settings = training(
        epochs=EPOCHS, batch_size=BATCH, schedule_scale=SCALE, learning_rate=RATE,
        learning_rate_decay=DECAY, selection="last",
    )  # fmt: skip
    encoder = merged(ENCODER, {"head": [16, 16, 16]})
    run = Recorded(problem, store, recipe(METHOD), encoder, settings, (0,), False)
    run.steps = []
    return run, problem, store


def supervised(z: Tensor, labels: Tensor, compared: Tensor, positive: Tensor) -> Tensor:
    """Mean over anchors of −log of their share, averaged over their positives."""
    similar = z @ z.T / TAU
    total = similar.masked_fill(~compared, -torch.inf).logsumexp(1)
    logs = (similar - total[:, None]).masked_fill(~positive, 0).sum(1) / positive.sum(1).clamp(1)
    return -logs[positive.any(1)].mean()


def contrast(views: Tensor, labels: Tensor, clustered: bool) -> Tensor:
    """Both terms where every class is one sub-cluster; views are [2 B, D], first all first ones."""
    z, y = F.normalize(views, dim=1), labels.repeat(2)
    own = torch.eye(len(z), dtype=torch.bool)
    same = (y[:, None] == y) & ~own
    first = supervised(z, y, ~own, same)
    if not clustered:
        return first
    # The anchor's other view is a positive and compared with; other classes are compared with.
    other = own.roll(len(labels), dims=1)
    second = supervised(z, y, other | (y[:, None] != y), other)
    return first * TAU / 0.07 + BETA * second


def class_weights(network: Any, store: GraphStore, rows: Tensor, labels: Tensor) -> Tensor:
    """softmax(−d): d the distance of a class's mean to the nearest other one's."""
    network.eval()
    with torch.no_grad():
        z = F.normalize(network.encoder(store.batch(rows[None]))[0], dim=1)
    means = torch.stack([z[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
    apart = torch.cdist(means, means).fill_diagonal_(torch.inf).amin(1)
    network.train()
    return torch.softmax(-apart, 0)


def test_a_training_is_that_of_a_plain_loop(files: Any) -> None:
    run, problem, store = started(files)
    network = copy.deepcopy(run.network)
    for _ in range(EPOCHS):
        run.train_epoch()

    rows = torch.from_numpy(problem.subsets[TRAIN])
    labels = torch.from_numpy(problem.labels)[rows]
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, weight_decay=3e-4)
    settings = run.recipe.views
    weights, begun = torch.ones(problem.classes), -1
    network.train()
    for epoch, drawn, key in run.steps:
        if epoch > begun:
            begun = epoch
            if epoch >= 1:
                weights = class_weights(network, store, rows, labels)
            for group in optimizer.param_groups:
                group["lr"] = RATE * DECAY**epoch
        y = labels[drawn]
        batch = store.batch(rows[drawn].repeat(2)[None])
        one = batch.with_tensors(tensor[0] for tensor in batch.tensors())
        output = network(batch.viewed(drop(settings, one, Draws(key))[None]))
        loss = contrast(output.embedding[0], y, clustered=epoch >= 1)
        if epoch >= 2:
            # The first view alone, and PyTorch's own weighted mean.
            loss = loss + F.cross_entropy(output.logits[0, : len(y)], y, weight=weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for (name, found), wanted in zip(
        run.network.named_parameters(), network.parameters(), strict=True
    ):
        if found.requires_grad:
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=2e-4, msg=name)
    moved = [
        (found - start).abs().max()
        for found, start in zip(network.parameters(), started(files)[0].network.parameters(),
                                strict=True)
    ]  # fmt: skip
    assert max(moved) > 5e-3, "the comparison is of a training that moves"


def test_the_molecules_are_drawn_once_and_as_many_of_each_class(files: Any) -> None:
    run, problem, _ = started(files)
    for _ in range(EPOCHS):
        run.train_epoch()
    labels = problem.labels[problem.subsets[TRAIN]]
    each = len(labels) // problem.classes
    epochs = [
        torch.cat([drawn for epoch, drawn, _ in run.steps if epoch == number]).numpy()
        for number in range(EPOCHS)
    ]
    for drawn in epochs:
        assert np.bincount(labels[drawn]).tolist() == [each] * problem.classes
        np.testing.assert_array_equal(np.sort(drawn), np.sort(epochs[0]))
    assert not np.array_equal(epochs[0], epochs[1]), "in another order"
    largest = np.flatnonzero(labels == 0)
    assert len(np.intersect1d(largest, epochs[0])) < len(largest)


def test_the_classifier_begins_an_epoch_after_the_first_clustering(files: Any) -> None:
    run, _, _ = started(files)
    assert [run.objective.trains_classifier(epoch) for epoch in range(4)] == [
        False, False, True, True,
    ]  # fmt: skip
    assert list(run.refreshes) == [1, 2, 3]
    assert all(
        "valid_balanced_accuracy" not in row
        for row in (run.train_epoch(), run.seeds[0].history[-1])[1:]
    )


def test_every_class_is_one_subcluster_and_the_weights_follow_from_class_distances(
    files: Any,
) -> None:
    run, problem, store = started(files)
    run.train_epoch()
    wanted = class_weights(
        copy.deepcopy(run.network), store, torch.from_numpy(problem.subsets[TRAIN]),
        torch.from_numpy(problem.labels[problem.subsets[TRAIN]]),
    )  # fmt: skip
    run.train_epoch()
    rows = [row for row in run.seeds[0].class_history if row["epoch"] == 1]
    assert [row["subclusters"] for row in rows] == [1] * problem.classes
    found = np.array([row["weight"] for row in rows])
    assert found / found.sum() == pytest.approx(wanted.numpy(), rel=1e-4)


def test_its_optimiser_is_adam_with_an_l2_penalty_whatever_the_benchmarks_is(files: Any) -> None:
    run, _, _ = started(files)
    assert type(run.optimizer) is torch.optim.Adam
    assert run.training.optimizer == "adamw"
    assert {group["weight_decay"] for group in run.optimizer.param_groups} == {3e-4}


def test_first_views_alone_can_be_classified_but_not_where_both_losses_are_needed() -> None:
    with pytest.raises(DrugtailError, match="weighs the losses of both views; classify both"):
        recipe("cibl", views={"name": "drop", "classified": "first"})
    with pytest.raises(DrugtailError, match="classifier_delay also needs: contrastive"):
        recipe(
            "class_distance_no_contrastive",
            schedule={"warmup_epochs": 1, "refresh_epochs": 1, "classifier_delay": 1},
        )
