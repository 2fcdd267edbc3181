"""Seeds of a block."""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import (
    TRAINING,
    assert_same,
    of_seed,
    recipe,
    results,
    status,
    train,
    training,
)
from torch import Tensor

from drugtail.models.network import Network
from drugtail.models.saved import load_model
from drugtail.runtime.parquet import read_parquet
from drugtail.training.objective import Objective
from drugtail.training.pool import batches
from drugtail.training.problem import read_problem
from drugtail.training.seed_batch import SeedBatch


@pytest.mark.parametrize("method", ["cross_entropy", "class_distance"])
def test_a_block_gives_the_same_result_whatever_happened_before_and_its_seeds_differ(
    files: Any, tmp_path: Path, method: str
) -> None:
    torch.manual_seed(1)
    np.random.seed(1)
    first = train(files.inputs(), method, tmp_path / "a", seeds=(0, 1))
    torch.manual_seed(2)
    np.random.seed(2)
    assert_same(first, train(files.inputs(), method, tmp_path / "b", seeds=(0, 1)))
    predictions = results(first)["predictions"].filter(regex="seed|logit_")
    assert not np.allclose(of_seed(predictions, 0), of_seed(predictions, 1))


class Seen:
    """What reached the objective: molecules drawn per step, and the network's first weights."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[list[int]] = []
        self.weights: dict[str, Tensor] = {}
        original = Objective.__call__

        def spy(objective: Objective, network: Network, *rest: Any) -> Any:
            if not self.steps:
                self.weights = copy.deepcopy(network.state_dict())
            self.steps.append(rest[2][0].tolist())
            return original(objective, network, *rest)

        monkeypatch.setattr(Objective, "__call__", spy)


def test_all_methods_start_from_the_same_weights_and_see_the_same_molecule_order(
    files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    for method in ("cross_entropy", "balanced_softmax", "cost_sensitive", "class_distance"):
        with monkeypatch.context() as patch:
            seen[method] = Seen(patch)
            train(files.inputs(), method, tmp_path / method, settings=training(epochs=3))
    first, *others = seen.values()
    epoch = len(first.steps) // 3
    assert first.steps[:epoch] != first.steps[epoch : 2 * epoch], "a new order every epoch"
    for other in others:
        assert other.steps == first.steps
        assert all(torch.equal(other.weights[name], w) for name, w in first.weights.items())


def test_reweighting_with_equal_weights_is_bit_for_bit_the_reference(
    files: Any, tmp_path: Path
) -> None:
    flat = recipe("cost_sensitive", **{"class_weights.gamma": 0.0})
    first = train(files.inputs(), "cross_entropy", tmp_path / "a")
    assert_same(first, train(files.inputs(), flat, tmp_path / "b"))
    steep = train(files.inputs(), "cost_sensitive", tmp_path / "c")
    assert not results(first)["history"]["loss"].equals(results(steep)["history"]["loss"])


@pytest.mark.parametrize("method", ["cross_entropy", "class_distance"])
def test_a_diverged_seed_is_recorded_with_its_epoch_and_the_block_succeeds(
    files: Any, tmp_path: Path, method: str
) -> None:
    output = train(
        files.inputs(), method, tmp_path, settings=training(learning_rate=1e30), seeds=(0, 1)
    )
    content = status(output)
    assert content["status"] == "failed"
    history = read_parquet(output / "history.parquet")
    for seed in (0, 1):
        run = content["seeds"][str(seed)]
        rows = history[history["seed"] == seed]
        assert run["status"] == "diverged"
        assert rows["epoch"].tolist() == list(range(run["epochs"]))
        assert run["epochs"] <= TRAINING.epochs
        assert not math.isfinite(rows["loss"].iloc[-1])
        assert np.isfinite(rows["loss"].iloc[:-1]).all()
    predictions = read_parquet(output / "predictions.parquet")
    assert len(predictions) == 0
    assert [c for c in predictions if c.startswith("logit_")] == ["logit_0", "logit_1", "logit_2"]
    for name in ("class_history.parquet", "manifest.json", "model.pt"):
        assert (output / name).exists()
    assert load_model(output / "model.pt")["weights"] == {}


def test_a_seed_that_diverges_leaves_those_computed_with_it_as_they_are(
    files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(files.inputs(), "class_distance", tmp_path / "whole", seeds=(0, 1, 2))
    original, epoch = SeedBatch.train_epoch, 3

    def break_the_second(run: SeedBatch) -> None:
        if run.epoch == epoch:
            with torch.no_grad():
                run.network.encoder.layers[0].residual.weight[1, 0, 0] = math.inf
        original(run)

    monkeypatch.setattr(SeedBatch, "train_epoch", break_the_second)
    broken = train(files.inputs(), "class_distance", tmp_path / "broken", seeds=(0, 1, 2))
    runs = status(broken)["seeds"]
    assert [run["status"] for run in runs.values()] == ["finished", "diverged", "finished"]
    assert runs["1"]["epochs"] == epoch + 1
    assert set(load_model(broken / "model.pt")["weights"]) == {"0", "2"}
    for (name, mine), theirs in zip(results(broken).items(), results(whole).values(), strict=True):
        for seed in (0, 2):
            pd.testing.assert_frame_equal(
                of_seed(mine, seed), of_seed(theirs, seed), check_exact=True, obj=name
            )


def test_a_finished_seed_never_predicts_nan_even_if_its_only_step_broke_the_weights(
    files: Any, tmp_path: Path
) -> None:
    once = training(epochs=1, batch_size=1000, learning_rate=1e30)
    output = train(files.inputs(), "cross_entropy", tmp_path, settings=once)
    assert status(output)["seeds"]["0"]["status"] == "diverged"
    logits = read_parquet(output / "predictions.parquet").filter(like="logit_")
    assert np.isfinite(logits.to_numpy()).all()


@given(n=st.integers(1, 200), size=st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_batches_hold_all_that_was_drawn_in_order_and_are_as_large_as_each_other(
    n: int, size: int
) -> None:
    drawn = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    pieces = batches(drawn, size)
    assert torch.equal(torch.cat(pieces), drawn)
    lengths = [len(piece) for piece in pieces]
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) > 1 or n == 1
    # No more steps than needed, and none larger than asked for, save for pairs of an odd number.
    assert len(pieces) == -(-n // size) or (size == 2 and n % 2)
    assert max(lengths) <= size or size == 2


@pytest.mark.parametrize("method", ["cross_entropy", "class_distance"])
def test_an_epoch_that_leaves_a_rest_of_one_molecule_trains(
    files: Any, tmp_path: Path, method: str
) -> None:
    molecules = len(read_problem(files.molecules, files.split).subsets["train"])
    size = (molecules - 1) // 2 if molecules % 2 else molecules - 1
    assert molecules % size == 1
    output = train(files.inputs(), method, tmp_path, settings=training(batch_size=size))
    assert status(output)["status"] == "finished"
    assert np.isfinite(read_parquet(output / "history.parquet")["loss"]).all()
