"""Blocks of seeds: the same result however they are run, failures as data, clear errors."""

import copy
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ATOMS
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from torch import Tensor

import drugtail
from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue
from drugtail.config.encoder import FingerprintEncoder, GraphEncoder
from drugtail.config.recipe import Recipe
from drugtail.config.schedule import refresh_epochs
from drugtail.config.training import Training
from drugtail.data.split_digest import split_digest
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.methods.contrastive import CONTRASTIVE
from drugtail.methods.losses import LOSSES
from drugtail.models.companion import Companion
from drugtail.models.inference import predict
from drugtail.models.network import Network
from drugtail.models.saved import load_model
from drugtail.models.stacked import load_state_of
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import (
    read_json,
    read_parquet,
    read_parquet_metadata,
    write_parquet,
)
from drugtail.runtime.manifest import Manifest
from drugtail.training import objective as objective_module
from drugtail.training.block import Block, train_block
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.objective import Objective
from drugtail.training.pool import batches
from drugtail.training.problem import Problem, read_problem
from drugtail.training.record import SeedResult
from drugtail.training.seed_batch import SeedBatch
from drugtail.training.trainer import train_seeds

MakeFiles = Callable[[Sequence[int]], Any]

CATALOGUE = Catalogue(Path(__file__).resolve().parents[2] / "config")
ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])
MORGAN = FingerprintEncoder(name="morgan", kind="fingerprint")
SIZES = (70, 30, 10)
# Warm-up of 2 epochs and a re-clustering every 2 for class_distance.
TRAINING = Training(epochs=6, batch_size=16, schedule_scale=0.2)
CLOCK = ["molecules_per_second", "seconds", "finished_at"]
CPU = torch.device("cpu")


def recipe(name: str, **changes: Any) -> Recipe:
    return merged(CATALOGUE.recipe(name), changes)


def training(**changes: Any) -> Training:
    return merged(TRAINING, changes)


@pytest.fixture
def files(make_files: MakeFiles) -> Any:
    return make_files(SIZES)


def train(
    inputs: dict[str, Path],
    method: str | Recipe,
    output: Path,
    *,
    encoder: GraphEncoder | FingerprintEncoder = ENCODER,
    settings: Training = TRAINING,
    seeds: Sequence[int] = (0,),
    checkpoints: Path | None = None,
) -> Path:
    block = Block(
        **inputs,
        recipe=recipe(method) if isinstance(method, str) else method,
        encoder=encoder,
        training=settings,
        seeds=seeds,
        device="cpu",
    )
    train_block(block, output, checkpoints=checkpoints, checkpoint_seconds=0)
    return output


def status(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "status.json").read_text())
    return content


def results(output: Path) -> dict[str, pd.DataFrame]:
    """Everything in a block's tables that is not a time."""
    names = ("predictions", "class_history")
    tables = {name: read_parquet(output / f"{name}.parquet") for name in names}
    return tables | {"history": read_parquet(output / "history.parquet").drop(columns=CLOCK)}


def assert_same(first: Path, second: Path) -> None:
    for (name, mine), theirs in zip(results(first).items(), results(second).values(), strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True, obj=name)


def of_seed(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame[frame["seed"] == seed].drop(columns="seed").reset_index(drop=True)


# --------------------------------------------------------------------------- what comes out


def test_predictions_cover_validation_and_test_molecules_of_every_seed(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "cross_entropy", tmp_path, seeds=(3, 4))
    predictions = read_parquet(output / "predictions.parquet")
    molecules = read_parquet(files.molecules).merge(read_parquet(files.split), on="id")
    expected = molecules[molecules["subset"].isin(["valid", "test"])].set_index("id")
    assert predictions["seed"].unique().tolist() == [3, 4]
    for seed in (3, 4):
        found = of_seed(predictions, seed).set_index("id")
        assert sorted(found.index) == sorted(expected.index)
        assert found["subset"].equals(expected.loc[found.index, "subset"])
        assert found["label"].equals(expected.loc[found.index, "label"])
    logits = predictions[["logit_0", "logit_1", "logit_2"]]
    assert (logits.dtypes == np.float32).all()
    assert np.isfinite(logits.to_numpy()).all()
    header = read_parquet_metadata(output / "predictions.parquet")
    train_labels = molecules.loc[molecules["subset"] == "train", "label"]
    assert header == {
        "dataset": "tiny", "split": "random-0", "encoder": "tiny", "method": "cross_entropy",
        "settings": "default", "class_names": ["class 0", "class 1", "class 2"],
        "train_counts": np.bincount(train_labels).tolist(), "seeds": [3, 4],
        "class_weights": "uniform",
    }  # fmt: skip


def test_the_epoch_of_best_validation_balanced_accuracy_is_the_one_that_predicts(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "cross_entropy", tmp_path, settings=training(epochs=12))
    history = read_parquet(output / "history.parquet")
    best = status(output)["seeds"]["0"]["best_epoch"]
    assert best == history["valid_balanced_accuracy"].idxmax() == history.loc[best, "epoch"]
    predictions = read_parquet(output / "predictions.parquet")
    valid = predictions[predictions["subset"] == "valid"]
    logits = torch.tensor(valid.filter(like="logit_").to_numpy(), dtype=torch.float64)
    guess, truth = logits.argmax(1).numpy(), valid["label"]
    row = history.loc[best]
    score = balanced_accuracy_score(truth, guess)
    assert row["valid_balanced_accuracy"] == pytest.approx(score)
    assert row["valid_accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert row["valid_loss"] == pytest.approx(log_loss(truth, logits.softmax(1)), rel=1e-5)


def test_history_has_every_epoch_with_its_learning_rate_and_losses(
    files: Any, tmp_path: Path
) -> None:
    changed = training(epochs=5, learning_rate=0.002, learning_rate_decay=0.9)
    output = train(files.inputs(), "cross_entropy", tmp_path, settings=changed)
    history = read_parquet(output / "history.parquet")
    assert history["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert history["learning_rate"].tolist() == pytest.approx([0.002 * 0.9**e for e in range(5)])
    assert history["loss"].equals(history["classification_loss"])
    assert (history["contrastive_loss"] == 0).all()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert (history[CLOCK] > 0).all(axis=None)
    assert history["finished_at"].is_monotonic_increasing


def test_the_saved_model_gives_the_predictions_again(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "cross_entropy", tmp_path, seeds=(0, 1))
    model = load_model(output / "model.pt")
    assert model["class_names"] == ["class 0", "class 1", "class 2"]
    assert GraphEncoder(**model["encoder"]) == ENCODER
    store = GraphStore(load_arrays(files.atoms), CPU)
    ids = read_parquet(files.molecules)["id"]
    predictions = read_parquet(output / "predictions.parquet")
    for seed in (0, 1):
        network = Network(ENCODER, ATOMS, classes=3, seeds=[99])
        load_state_of(network, 0, model["weights"][str(seed)])
        rows = of_seed(predictions, seed)
        positions = torch.from_numpy(pd.Index(ids).get_indexer(rows["id"]))
        (found,) = predict(network, store, positions[None]).logits
        wanted = torch.from_numpy(rows.filter(like="logit_").to_numpy())
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"PK\x03\x04 cut off"])
def test_an_absent_or_damaged_model_is_named_in_a_clear_error(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "model.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DrugtailError, match=r"model\.pt.*train the block"):
        load_model(path)


def test_a_checkpoint_is_not_taken_for_a_model(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "seeds0-1.pt", "key", 0).save({"epoch": 1})
    with pytest.raises(DrugtailError, match=r"seeds0-1\.pt: is not a model; name the model\.pt"):
        load_model(tmp_path / "seeds0-1.pt")


def test_finishing_a_block_removes_its_own_checkpoint_alone(files: Any, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    for other in ("seeds3-5.pt", "notes.txt"):
        (checkpoints / other).write_text("somebody else's")
    train(files.inputs(), "cross_entropy", tmp_path / "out", checkpoints=checkpoints)
    assert sorted(p.name for p in checkpoints.iterdir()) == ["notes.txt", "seeds3-5.pt"]


def test_a_block_that_is_trained_again_is_not_whole_until_it_is_finished(
    files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = train(files.inputs(), "cross_entropy", tmp_path)
    # Stands for a machine that goes down while results are written.
    monkeypatch.setattr(Manifest, "finish", raise_interrupted)
    with pytest.raises(InterruptedError):
        train(files.inputs(), "cross_entropy", tmp_path, seeds=(1, 2))
    assert not (output / "status.json").exists()


def raise_interrupted(*_: Any, **__: Any) -> None:
    raise InterruptedError


def test_manifest_records_settings_inputs_and_device(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "cost_sensitive", tmp_path)
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["settings"]["training"] == TRAINING.model_dump()
    assert manifest["settings"]["recipe"]["class_weights"]["name"] == "cost_sensitive"
    assert set(manifest["inputs"]) == {"molecules", "split", "features"}
    assert manifest["device"] == "cpu"
    assert manifest["peak_memory_bytes"] > 0


# ----------------------------------------------------------------------------------- seeds


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


# ---------------------------------------------------------------------------- interruptions

SCRIPT = """
import json, sys
from pathlib import Path
from drugtail.config.catalogue import Catalogue
from drugtail.config.encoder import GraphEncoder
from drugtail.config.training import Training
from drugtail.training.block import Block, train_block

call = json.loads(sys.argv[1])
paths = {name: Path(path) for name, path in call["paths"].items()}
output, checkpoints = paths.pop("output"), paths.pop("checkpoints")
block = Block(
    **paths,
    recipe=Catalogue(Path(call["config"])).recipe(call["method"]),
    encoder=GraphEncoder(**call["encoder"]),
    training=Training(**call["training"]),
    seeds=call["seeds"],
    device="cpu",
)
train_block(block, output, checkpoints=checkpoints, checkpoint_seconds=0)
"""


def in_another_process(
    inputs: dict[str, Path], method: str, output: Path, checkpoints: Path, settings: Training,
    seeds: Sequence[int], script: str = SCRIPT,
) -> subprocess.Popen[str]:  # fmt: skip
    call = {
        "paths": {
            name: str(path)
            for name, path in {**inputs, "output": output, "checkpoints": checkpoints}.items()
        },
        "config": str(CATALOGUE.folder),
        "method": method,
        "encoder": ENCODER.model_dump(),
        "training": settings.model_dump(),
        "seeds": list(seeds),
    }
    library = str(Path(drugtail.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(call)],
        env={**os.environ, "PYTHONPATH": library, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("method", ["cross_entropy", "class_distance"])
def test_a_killed_block_continues_to_the_same_result_bit_for_bit(
    files: Any, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    long, seeds = training(epochs=30), (0, 1, 2)
    output, checkpoints = tmp_path / "killed", tmp_path / "checkpoints"
    process = in_another_process(files.inputs(), method, output, checkpoints, long, seeds)
    deadline = time.monotonic() + 60
    while not (checkpoints / "seeds0-2.pt").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    # The middle of the block; no result in sight.
    found = torch.load(checkpoints / "seeds0-2.pt", weights_only=True)
    saved = found["state"]["epoch"]
    assert 0 < saved < 30
    assert not (output / "status.json").exists()

    capsys.readouterr()
    train(files.inputs(), method, output, settings=long, seeds=seeds, checkpoints=checkpoints)
    assert f"seeds 0-2: continues after epoch {saved} of 30" in capsys.readouterr().err
    # Times are those of both processes.
    spent, manifest = found["spent"], read_json(output / "manifest.json")
    for clock in ("wall", "cpu"):
        assert manifest[f"{clock}_seconds"] > spent[clock] > 0
    seconds = [run["seconds"] for run in read_json(output / "status.json")["seeds"].values()]
    assert manifest["wall_seconds"] > sum(seconds)
    whole = train(files.inputs(), method, tmp_path / "whole", settings=long, seeds=seeds)
    assert_same(output, whole)
    first, second = (load_model(folder / "model.pt")["weights"] for folder in (output, whole))
    for seed in ("0", "1", "2"):
        assert all(torch.equal(first[seed][name], w) for name, w in second[seed].items())
    assert not checkpoints.exists()


class CutOffAfterEachSave(Checkpoint):
    """Stands for a machine that goes down after every epoch."""

    def save(self, state: dict[str, Any]) -> None:
        super().save(state)
        raise InterruptedError


def seed_inputs(files: Any, method: str) -> tuple[Problem, GraphStore, Recipe]:
    store = GraphStore(load_arrays(files.atoms), CPU)
    return read_problem(files.molecules, files.split), store, recipe(method)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("method", ["cross_entropy", "class_balanced_sampling", "class_distance"])
def test_seeds_cut_off_after_every_single_epoch_end_at_the_same_result(
    files: Any, tmp_path: Path, method: str, fixed: bool
) -> None:
    call = *seed_inputs(files, method), ENCODER, TRAINING, (0, 1)
    whole = train_seeds(*call, Checkpoint(None, "", 0), static_shapes=fixed)
    cuts, result = 0, None
    while result is None:
        try:
            checkpoint = CutOffAfterEachSave(tmp_path / "seeds.pt", "key", 0)
            result = train_seeds(*call, checkpoint, static_shapes=fixed)
        except InterruptedError:
            cuts += 1
    assert cuts == TRAINING.epochs
    for mine, theirs in zip(result, whole, strict=True):
        assert_same_seed(mine, theirs)


def assert_same_seed(first: SeedResult, second: SeedResult) -> None:
    assert (first.status, first.epochs, first.best_epoch) == (
        second.status, second.epochs, second.best_epoch,
    )  # fmt: skip
    frames = [pd.DataFrame(r.history).drop(columns=CLOCK) for r in (first, second)]
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    pd.testing.assert_frame_equal(
        pd.DataFrame(first.class_history), pd.DataFrame(second.class_history), check_exact=True
    )
    assert first.logits.keys() == second.logits.keys() == {"valid", "test"}
    for part, logits in first.logits.items():
        np.testing.assert_array_equal(logits, second.logits[part])


def interrupted(
    files: Any, checkpoints: Path, settings: Training, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Leave the checkpoint of a block that went down after its first epoch."""
    with monkeypatch.context() as patch:
        patch.setattr("drugtail.training.block.Checkpoint", CutOffAfterEachSave)
        with pytest.raises(InterruptedError):
            train(
                files.inputs(), "cross_entropy", checkpoints.parent / "cut", settings=settings,
                checkpoints=checkpoints,
            )  # fmt: skip
    path = checkpoints / "seeds0-0.pt"
    assert torch.load(path, weights_only=True)["state"]["epoch"] == 1
    return path


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def flip_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - byte for byte in content[middle : middle + 64])
    path.write_bytes(content)


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def other_pickle(path: Path) -> None:
    torch.save([1, 2, 3], path)


@pytest.mark.parametrize("damage", [cut_short, flip_bytes, make_empty, other_pickle])
def test_a_damaged_checkpoint_costs_time_but_not_the_result(
    files: Any,
    tmp_path: Path,
    damage: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoints = tmp_path / "checkpoints"
    damage(interrupted(files, checkpoints, TRAINING, monkeypatch))
    found = train(files.inputs(), "cross_entropy", tmp_path / "a", checkpoints=checkpoints)
    assert "damaged checkpoint" in capsys.readouterr().err
    assert_same(found, train(files.inputs(), "cross_entropy", tmp_path / "b"))


def test_a_checkpoint_of_other_settings_is_not_used(
    files: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoints = tmp_path / "checkpoints"
    interrupted(files, checkpoints, training(learning_rate=0.01), monkeypatch)
    found = train(files.inputs(), "cross_entropy", tmp_path / "a", checkpoints=checkpoints)
    assert "checkpoint of other settings" in capsys.readouterr().err
    assert_same(found, train(files.inputs(), "cross_entropy", tmp_path / "b"))


def test_a_checkpoint_of_other_molecules_is_not_used(
    files: Any, make_files: MakeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints, other = tmp_path / "checkpoints", make_files((65, 35, 10))
    interrupted(other, checkpoints, TRAINING, monkeypatch)
    found = train(files.inputs(), "cross_entropy", tmp_path / "a", checkpoints=checkpoints)
    assert_same(found, train(files.inputs(), "cross_entropy", tmp_path / "b"))


def test_how_often_checkpoints_are_written_does_not_change_the_result(
    files: Any, tmp_path: Path
) -> None:
    often = train(
        files.inputs(), "class_distance", tmp_path / "a", checkpoints=tmp_path / "checkpoints"
    )
    assert_same(often, train(files.inputs(), "class_distance", tmp_path / "b"))


# ------------------------------------------------------------------------------ divergence


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


# --------------------------------------------------------------------------------- batches


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


# ------------------------------------------------------------------------------- objective


class Step:
    """One call of an objective on a batch of a tiny problem."""

    def __init__(self, files: Any, method: str, scale: float = 0.2) -> None:
        self.problem, self.store, self.recipe = seed_inputs(files, method)
        self.train = torch.from_numpy(self.problem.subsets["train"])
        self.labels = torch.from_numpy(self.problem.labels)[self.train]
        self.network = Network(ENCODER, ATOMS, self.problem.classes, seeds=[0]).train()
        self.companion = Companion(self.recipe, self.network, self.problem.classes, seeds=[0])
        self.objective = Objective(
            self.recipe, self.train, self.labels, self.problem.classes, scale
        )

    def cluster(self) -> None:
        with torch.no_grad():
            batch = self.store.batch(self.train[None])
            (embeddings,) = self.network.encoder(batch)
        self.objective.classes.refresh(0, embeddings, embeddings[:9], self.labels[:9], 0)

    def losses(self, drawn: Tensor, epoch: int) -> Any:
        drawn, keys = drawn[None], torch.tensor([0])
        return self.objective(self.network, self.companion, self.store, drawn, epoch, keys)


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
    wanted = -(weights[y] * chosen).sum() / len(y)
    assert found.total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert found.classification.item() == found.total.item()
    assert found.contrastive.item() == 0


def test_a_loss_that_is_a_mean_is_refused(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = LOSSES["cross_entropy"]
    changed = {"cross_entropy": lambda *inputs: loss(*inputs).mean()}
    monkeypatch.setattr(objective_module, "LOSSES", changed)
    step = Step(files, "cross_entropy")
    with pytest.raises(DrugtailError, match=r"loss 'cross_entropy'.* \[\] .*must give \[30\]"):
        step.losses(torch.arange(30), epoch=0)


def test_a_contrastive_term_that_is_no_mean_is_refused(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    term = CONTRASTIVE["supervised"]
    changed = {"supervised": lambda *inputs: term(*inputs).expand(30)}
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


# -------------------------------------------------------------------------- class_distance


def test_class_distance_warms_up_without_the_classifier_and_then_adds_both_losses(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "class_distance", tmp_path)
    history = read_parquet(output / "history.parquet").set_index("epoch")
    warmup, later = history.loc[:1], history.loc[2:]
    assert (warmup["classification_loss"] == 0).all()
    assert warmup["loss"].equals(warmup["contrastive_loss"])
    assert warmup[["valid_loss", "valid_balanced_accuracy"]].isna().all(axis=None)
    assert (later["classification_loss"] > 0).all()
    assert (later["contrastive_loss"] > 0).all()
    total = later["classification_loss"] + later["contrastive_loss"]
    assert later["loss"].tolist() == pytest.approx(total.tolist(), rel=1e-5)
    assert later["valid_balanced_accuracy"].notna().all()
    assert status(output)["seeds"]["0"]["best_epoch"] >= 2


def test_class_distance_renews_its_weights_from_the_distances_at_every_refresh(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "class_distance", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    classes = classes[classes["moment"] == "refresh"]
    assert classes["epoch"].unique().tolist() == [2, 4]
    counts = read_problem(files.molecules, files.split).train_counts.tolist()
    limit = max(min(counts), 10)
    weights = []
    for _, rows in classes.groupby("epoch"):
        assert rows["label"].tolist() == [0, 1, 2]
        assert rows["n"].tolist() == counts
        assert rows["subclusters"].tolist() == [max(1, n // limit) for n in counts]
        assert (rows["nearest_class"] != rows["label"]).all()
        assert rows["separability"].between(-1, 1).all()
        assert rows["valid_separability"].between(-1, 1).all()
        assert rows["valid_recall"].between(0, 1).all()
        shares = [
            np.exp(-rows[name]) / np.exp(-rows[name]).sum()
            for name in ("class_distance", "subcluster_distance")
        ]
        wanted = 3 * (shares[0] + shares[1]) / 2
        assert rows["weight"].tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
        weights.append(rows["weight"].tolist())
    assert weights[0] != weights[1]
    assert max(weights[0]) > 1 > min(weights[0])


def test_class_distance_with_two_classes_keeps_both_weights_at_one(
    make_files: MakeFiles, tmp_path: Path
) -> None:
    output = train(make_files((80, 12)).inputs(), "class_distance", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    refreshes = classes[classes["moment"] == "refresh"]
    assert len(refreshes) == 4
    assert (refreshes["weight"] == 1).all()
    by_epoch = refreshes.groupby("epoch")
    assert (by_epoch["class_distance"].nunique() == 1).all()
    assert (by_epoch["subcluster_distance"].nunique() == 1).all()


def test_class_separability_tells_two_classes_apart(make_files: MakeFiles, tmp_path: Path) -> None:
    output = train(make_files((80, 12)).inputs(), "class_separability", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    for _, rows in classes[classes["moment"] == "refresh"].groupby("epoch"):
        raw = np.exp(-rows["separability"] / 0.25)
        assert rows["weight"].tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-4)
        assert rows["weight"].nunique() == 2


def test_as_published_every_class_is_one_subcluster(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "class_distance_official_code", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    assert (classes["subclusters"] == 1).all()
    # With one sub-cluster per class both distances are the same.
    both = classes[["class_distance", "subcluster_distance"]]
    np.testing.assert_allclose(both["class_distance"], both["subcluster_distance"], rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "column"),
    [
        ("class_distance_class_only", "class_distance"),
        ("class_distance_subcluster_only", "subcluster_distance"),
    ],
)
def test_an_ablation_of_the_distances_weighs_by_the_other_one_alone(
    files: Any, tmp_path: Path, method: str, column: str
) -> None:
    output = train(files.inputs(), method, tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    for _, rows in classes[classes["moment"] == "refresh"].groupby("epoch"):
        raw = np.exp(-rows[column])
        assert rows["weight"].tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-5)


def test_without_the_contrastive_term_the_classifier_trains_from_the_first_epoch(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "class_distance_no_contrastive", tmp_path)
    history = read_parquet(output / "history.parquet")
    assert (history["contrastive_loss"] == 0).all()
    assert (history["classification_loss"] > 0).all()
    classes = read_parquet(output / "class_history.parquet")
    assert classes.loc[classes["moment"] == "refresh", "weight"].nunique() > 1


def test_without_subclusters_the_contrastive_term_is_plain_and_without_reweighting_all_weigh_one(
    files: Any, tmp_path: Path
) -> None:
    whole = train(files.inputs(), "class_distance_no_subclusters", tmp_path / "whole")
    assert (read_parquet(whole / "class_history.parquet")["subclusters"] == 1).all()
    step = Step(files, "class_distance_no_subclusters")
    step.cluster()
    plain = Step(files, "class_distance_no_subclusters")
    drawn = torch.arange(0, len(step.labels), 3)
    # A geometry changes nothing of a contrastive term that does not read it.
    assert step.losses(drawn, 5).contrastive == plain.losses(drawn, 5).contrastive
    alike = train(files.inputs(), "class_distance_no_reweighting", tmp_path / "alike")
    classes = read_parquet(alike / "class_history.parquet")
    refreshes = classes[classes["moment"] == "refresh"]
    assert (refreshes["weight"] == 1).all()
    assert refreshes["subclusters"].max() > 1


@pytest.mark.parametrize("method", ["cross_entropy", "class_distance"])
def test_embeddings_of_every_class_are_kept_at_a_few_moments(
    files: Any, tmp_path: Path, method: str
) -> None:
    output = train(files.inputs(), method, tmp_path)
    frame = read_parquet(output / "embeddings.parquet")
    moments = frame.groupby(["moment", "epoch"])
    expected = {"chosen"} | ({"refresh"} if method == "class_distance" else set())
    assert set(frame["moment"]) == expected
    names = [tuple(rows["id"]) for _, rows in moments]
    assert len(set(names)) == 1, "the same molecules at every moment"
    assert set(frame["label"]) == {0, 1, 2}
    lengths = np.linalg.norm(np.stack(frame["embedding"].tolist()), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_the_weights_of_a_static_method_are_written_once(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "cost_sensitive", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    counts = read_problem(files.molecules, files.split).train_counts
    raw = counts.min() / counts
    assert classes["epoch"].tolist() == [status(output)["seeds"]["0"]["best_epoch"]] * 3
    assert classes["n"].tolist() == counts.tolist()
    assert classes["weight"].tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-6)
    # Measured once with the chosen weights, although the method itself never looks.
    assert (classes["moment"] == "chosen").all()
    assert classes[["subclusters", "class_distance", "separability"]].notna().all(axis=None)


def test_a_training_that_ends_before_the_classifiers_first_epoch_is_refused(
    files: Any, tmp_path: Path
) -> None:
    short = training(epochs=2, schedule_scale=1.0)
    with pytest.raises(DrugtailError, match=r"warm-?up"):
        train(files.inputs(), "class_distance", tmp_path / "run", settings=short)
    assert not (tmp_path / "run" / "status.json").exists()


# -------------------------------------------------------------------------- mixed precision


@pytest.mark.parametrize(
    "method", ["cross_entropy", "class_distance_no_subclusters", "class_distance"]
)
def test_mixed_precision_runs_and_stays_close(files: Any, tmp_path: Path, method: str) -> None:
    full = results(train(files.inputs(), method, tmp_path / "a"))["history"]
    mixed = training(mixed_precision=True)
    half = results(train(files.inputs(), method, tmp_path / "b", settings=mixed))["history"]
    # From the first clustering on, sub-clusters can be others, and the loss with them.
    clusterings = refresh_epochs(CATALOGUE.recipe(method), len(full), mixed.schedule_scale)
    alike = clusterings[0] if method == "class_distance" else len(full)
    for name, epochs in (("loss", alike), ("classification_loss", 6), ("valid_loss", 6)):
        wanted = full[name][:epochs].tolist()
        assert half[name][:epochs].tolist() == pytest.approx(wanted, rel=0.05, nan_ok=True)
    assert not half["loss"].equals(full["loss"])


# ---------------------------------------------------------------------------- wrong inputs


def test_a_split_of_other_molecules_is_refused(
    files: Any, make_files: MakeFiles, tmp_path: Path
) -> None:
    other = make_files((65, 35, 10))
    inputs = {**files.inputs(), "split": other.split}
    with pytest.raises(DrugtailError, match=r"random-0\.parquet.*not those of.*drugtail split"):
        train(inputs, "cross_entropy", tmp_path)


def split_header(split: Path, table: pd.DataFrame) -> dict[str, Any]:
    """Header of a split with another content."""
    return {**read_parquet_metadata(split), "sha256": split_digest(table)}


def test_an_edited_split_is_refused(files: Any, tmp_path: Path) -> None:
    table = read_parquet(files.split)
    table.loc[0, "subset"] = "test" if table.loc[0, "subset"] == "train" else "train"
    write_parquet(tmp_path / "random-0.parquet", table, read_parquet_metadata(files.split))
    with pytest.raises(DrugtailError, match=r"its content has SHA-256 .* it was edited"):
        read_problem(files.molecules, tmp_path / "random-0.parquet")


def test_a_split_that_leaves_a_class_without_training_molecules_is_refused(
    files: Any, tmp_path: Path
) -> None:
    labels, table = read_parquet(files.molecules)["label"], read_parquet(files.split)
    split = tmp_path / "bare-0.parquet"
    moved = table.assign(subset=table["subset"].where(labels != 2, "test"))
    write_parquet(split, moved, split_header(files.split, moved))
    with pytest.raises(DrugtailError, match=r"bare-0\.parquet.*'class 2'.*no training molecule"):
        read_problem(files.molecules, split)


def test_a_split_without_validation_molecules_is_refused(files: Any, tmp_path: Path) -> None:
    table = read_parquet(files.split)
    split = tmp_path / "bare-0.parquet"
    moved = table.assign(subset=table["subset"].replace("valid", "train"))
    write_parquet(split, moved, split_header(files.split, moved))
    with pytest.raises(DrugtailError, match="valid"):
        train({**files.inputs(), "split": split}, "cross_entropy", tmp_path / "run")


@pytest.mark.parametrize("sizes", [(40, 20, 10), (90, 40, 20)], ids=["fewer", "more"])
@pytest.mark.parametrize("method", ["cross_entropy", "random_forest"])
def test_features_of_other_molecules_are_refused(
    files: Any, make_files: MakeFiles, tmp_path: Path, sizes: Sequence[int], method: str
) -> None:
    kind, encoder = ("morgan", MORGAN) if method == "random_forest" else ("atoms", ENCODER)
    inputs = {**files.inputs(kind), "features": getattr(make_files(sizes), kind)}
    with pytest.raises(DrugtailError, match=r"features.json: is of other molecules .*featurize"):
        train(inputs, method, tmp_path, encoder=encoder)


def test_absent_inputs_are_named(files: Any, tmp_path: Path) -> None:
    for name in ("molecules", "split", "features"):
        missing = tmp_path / f"no-{name}"
        with pytest.raises(DrugtailError, match=f"no-{name}.*no such file"):
            train({**files.inputs(), name: missing}, "cross_entropy", tmp_path / "run")


def test_a_network_on_fingerprints_and_a_forest_on_graphs_are_refused_with_what_to_use(
    files: Any, tmp_path: Path
) -> None:
    with pytest.raises(DrugtailError, match=r"'cross_entropy' trains a network.*gcn"):
        train(files.inputs("morgan"), "cross_entropy", tmp_path, encoder=MORGAN)
    with pytest.raises(DrugtailError, match=r"'random_forest'.*'tiny'.*morgan"):
        train(files.inputs("atoms"), "random_forest", tmp_path, encoder=ENCODER)


# --------------------------------------------------------------------------------- classical


def test_a_forest_predicts_log_probabilities_of_its_trees(files: Any, tmp_path: Path) -> None:
    forest = recipe("random_forest", **{"classifier.n_estimators": 25})
    output = train(files.inputs("morgan"), forest, tmp_path, encoder=MORGAN, seeds=(0, 1))
    predictions = read_parquet(output / "predictions.parquet")
    logits = predictions.filter(like="logit_").to_numpy()
    # Counts of votes of 25 trees, floored so that the logarithm is finite.
    assert np.isfinite(logits).all()
    assert np.exp(logits).sum(axis=1) == pytest.approx(np.ones(len(logits)), abs=1e-4)
    guess = logits.argmax(axis=1)
    assert balanced_accuracy_score(predictions["label"], guess) > 0.8
    first, second = (of_seed(predictions, seed) for seed in (0, 1))
    assert not first.equals(second)
    assert status(output)["status"] == "finished"
    assert not (output / "model.pt").exists()
    assert read_parquet(output / "class_history.parquet")["n"].sum() == 2 * len(
        read_problem(files.molecules, files.split).subsets["train"]
    )


def test_a_forest_does_not_depend_on_the_number_of_threads(files: Any, tmp_path: Path) -> None:
    forest = recipe("random_forest", **{"classifier.n_estimators": 10})
    block = Block(
        **files.inputs("morgan"), recipe=forest, encoder=MORGAN, training=TRAINING, seeds=(0,),
        device="cpu",
    )  # fmt: skip
    for threads in (1, 2):
        train_block(replace(block, threads=threads), tmp_path / f"{threads}")
    torch.set_num_threads(1)
    first, second = (read_parquet(tmp_path / f"{n}" / "predictions.parquet") for n in (1, 2))
    pd.testing.assert_frame_equal(first, second)


# ---------------------------------------------------------------------------------- imports


def test_training_needs_neither_rdkit_nor_snakemake_nor_mlflow(files: Any, tmp_path: Path) -> None:
    report = """
forbidden = {"rdkit", "snakemake", "mlflow", "deepchem", "matplotlib"}
print(sorted(forbidden & {name.split(".")[0] for name in sys.modules}))
"""
    process = in_another_process(
        files.inputs(), "class_distance", tmp_path / "run", tmp_path / "checkpoints",
        training(epochs=3), (0,), SCRIPT + report,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.strip() == "[]"
    assert status(tmp_path / "run")["status"] == "finished"


def test_problem_knows_its_parts_and_counts(files: Any) -> None:
    problem = read_problem(files.molecules, files.split)
    table = read_parquet(files.molecules).merge(read_parquet(files.split), on="id")
    assert problem.classes == 3
    assert (problem.dataset, problem.split) == ("tiny", "random-0")
    for part in ("train", "valid", "test"):
        assert (
            problem.ids[problem.subsets[part]].tolist()
            == table["id"][table["subset"] == part].tolist()
        )
    by_class = table[table["subset"] == "train"].groupby("label").size()
    assert problem.train_counts.tolist() == by_class.tolist()
    assert replace(problem, class_names=[*problem.class_names, "d"]).train_counts[3] == 0
