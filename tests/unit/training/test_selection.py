"""The chosen epoch, early stopping, averaged weights, and optimisers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_training import ATOMS, CPU, ENCODER, recipe, results, status, train, training
from torch import nn

from drugtail.config.base import merged
from drugtail.config.training import Training
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.models.network import Network
from drugtail.training.problem import read_problem
from drugtail.training.seed_batch import SeedBatch
from drugtail.training.selection import Selection
from drugtail.training.weight_average import WeightAverage

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def chosen(scores: list[float], **settings: Any) -> int | None:
    selection, wanted = Selection(), Training(epochs=len(scores), **settings)
    for epoch, score in enumerate(scores):
        selection.note(score, epoch, wanted)
    return selection.best_epoch


@given(SCORES)
def test_best_is_the_first_of_the_highest_and_last_is_the_last(scores: list[float]) -> None:
    assert chosen(scores, selection="best") == int(np.argmax(scores))
    assert chosen(scores, selection="last") == len(scores) - 1


@given(SCORES, st.integers(1, 12))
def test_smoothed_is_the_end_of_the_window_with_the_highest_mean(
    scores: list[float], window: int
) -> None:
    width = min(window, max(1, len(scores) // 4))
    means = np.convolve(scores, np.ones(width) / width, mode="valid")
    found = chosen(scores, selection_window=window)
    assert found is not None
    assert found >= width - 1
    assert means[found - width + 1] == pytest.approx(means.max())


def test_a_choice_that_begins_late_still_chooses() -> None:
    wanted = Training(epochs=40, selection_window=10)
    selection = Selection()
    for epoch in range(37):
        selection.note(0.9, epoch, wanted)
    selection.forget()
    for epoch in (37, 38, 39):
        selection.note(0.5, epoch, wanted)
    assert selection.best_epoch == 39


def test_smoothing_is_not_taken_in_by_a_single_lucky_epoch() -> None:
    scores = [0.5] * 10 + [0.9] + [0.5] * 10 + [0.7] * 19
    assert chosen(scores, selection="best") == 10
    assert chosen(scores) > 25


def test_a_seed_stops_when_no_epoch_is_better_for_long(files: Any, tmp_path: Path) -> None:
    settings = training(epochs=60, learning_rate=0.02, selection="best", patience=4)
    output = train(files.inputs(), "cross_entropy", tmp_path, settings=settings, seeds=(0, 1))
    for seed in ("0", "1"):
        state = status(output)["seeds"][seed]
        assert state["status"] == "finished"
        assert state["epochs"] == state["best_epoch"] + 1 + 4 < 60
    history = results(output)["history"]
    assert history.groupby("seed").size().tolist() == [
        status(output)["seeds"][seed]["epochs"] for seed in ("0", "1")
    ]
    alone = train(files.inputs(), "cross_entropy", tmp_path / "alone", settings=settings,
                  seeds=(1,))  # fmt: skip
    assert status(alone)["seeds"]["1"]["epochs"] == status(output)["seeds"]["1"]["epochs"]


def test_a_second_stage_begins_before_anything_stops(files: Any, tmp_path: Path) -> None:
    settings = training(epochs=12, patience=1)
    output = train(files.inputs(), "crt", tmp_path, settings=settings)
    best = status(output)["seeds"]["0"]["best_epoch"]
    assert best >= 8


def test_averaged_weights_follow_the_formula() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = WeightAverage(network, 0.9)
    wanted = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(5):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * (step + 1)
        network(torch.randn(4, 3))
        average.update(network)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                wanted[name] = 0.9 * wanted[name] + 0.1 * value
            else:
                wanted[name] = value.clone()
    for name, value in average.network.state_dict().items():
        torch.testing.assert_close(value, wanted[name])


def test_the_average_is_what_is_validated_and_kept(files: Any, tmp_path: Path) -> None:
    settings = training(epochs=6, weight_average=0.8, selection="last")
    run = SeedBatch(
        read_problem(files.molecules, files.split),
        GraphStore(load_arrays(files.atoms), CPU), recipe("cross_entropy"), ENCODER, settings,
        (0, 1), False,
    )  # fmt: skip
    for _ in range(6):
        run.train_epoch()
    kept = {name: value[1].clone() for name, value in run.judged.state_dict().items()}
    moved = [
        name for name, value in run.network.state_dict().items()
        if not torch.equal(value[1], kept[name])
    ]  # fmt: skip
    assert moved
    weights = run.results()[1].weights
    assert weights is not None
    for name, value in weights.items():
        torch.testing.assert_close(value, kept[name])


@pytest.mark.parametrize("average", [None, 0.7])
def test_a_training_with_all_of_them_goes_on_as_if_never_cut_off(
    files: Any, tmp_path: Path, average: float | None
) -> None:
    settings = training(epochs=8, weight_average=average, patience=6)
    encoder = merged(ENCODER, {"dropout": 0.2})
    store = GraphStore(load_arrays(files.atoms), CPU)

    def fresh() -> SeedBatch:
        return SeedBatch(read_problem(files.molecules, files.split), store,
                         recipe("cross_entropy"), encoder, settings, (0, 1), False)  # fmt: skip

    whole, first, second = fresh(), fresh(), fresh()
    for _ in range(8):
        whole.train_epoch()
    for _ in range(3):
        first.train_epoch()
    path = tmp_path / "state.pt"
    torch.save(first.state(), path)
    second.restore(torch.load(path, weights_only=True))
    for _ in range(5):
        second.train_epoch()
    for one, two in zip(whole.results(), second.results(), strict=True):
        assert one.best_epoch == two.best_epoch
        np.testing.assert_array_equal(one.logits["test"], two.logits["test"])


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)]
)
def test_the_optimiser_is_pytorchs_with_the_stated_decay(files: Any, name: str, kind: type) -> None:
    store = GraphStore(load_arrays(files.atoms), CPU)
    problem = read_problem(files.molecules, files.split)
    settings = training(optimizer=name, weight_decay=0.07)
    run = SeedBatch(problem, store, recipe("cross_entropy"), ENCODER, settings, (0,), False)
    assert type(run.optimizer) is kind
    assert [group["weight_decay"] for group in run.optimizer.param_groups] == [0.07]
    own = recipe("cross_entropy", optimizer={"name": "adam", "weight_decay": 0.001})
    run = SeedBatch(problem, store, own, ENCODER, settings, (0,), False)
    assert type(run.optimizer) is torch.optim.Adam
    assert [group["weight_decay"] for group in run.optimizer.param_groups] == [0.001]


def test_updates_and_molecules_are_counted(files: Any, tmp_path: Path) -> None:
    plain = train(files.inputs(), "cross_entropy", tmp_path / "plain")
    views = train(files.inputs(), "bcl", tmp_path / "views")
    staged = train(files.inputs(), "supcon", tmp_path / "staged")
    sharp = train(files.inputs(), "sharpness_aware", tmp_path / "sharp")
    seen = [status(output)["seeds"]["0"] for output in (plain, views, sharp)]
    molecules = len(read_problem(files.molecules, files.split).subsets["train"])
    assert [one["updates"] for one in seen] == [6 * -(-molecules // 16)] * 3
    assert [one["molecules"] for one in seen] == [6 * molecules, *[2 * 6 * molecules] * 2]
    # A new last layer learns features of molecules as they are: 5 epochs of two views, 1 of one.
    assert status(staged)["seeds"]["0"]["molecules"] == (2 * 5 + 1) * molecules


def test_dropout_changes_training_and_not_predicting(files: Any) -> None:
    store = GraphStore(load_arrays(files.atoms), CPU)
    encoder = merged(ENCODER, {"dropout": 0.5})
    network = Network(encoder, ATOMS, 3, [0]).train()
    batch = store.batch(torch.arange(20)[None])
    network.draw_from(torch.tensor([3]))
    one = network(batch).logits
    network.draw_from(torch.tensor([4]))
    assert not torch.equal(network(batch).logits, one)
    network.eval()
    assert torch.equal(network(batch).logits, network(batch).logits)
