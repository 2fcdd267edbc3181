"""Interrupted training."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_training import (
    CLOCK,
    ENCODER,
    TRAINING,
    MakeFiles,
    assert_same,
    in_another_process,
    seed_inputs,
    train,
    training,
)

from drugtail.config.training import Training
from drugtail.models.saved import load_model
from drugtail.runtime.files import read_json
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.record import SeedResult
from drugtail.training.trainer import train_seeds


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
