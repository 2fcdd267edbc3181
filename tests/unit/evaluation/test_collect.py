"""Collecting blocks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drugtail.evaluation.collect import collect_blocks, parse_block
from drugtail.evaluation.evaluate import evaluate_block
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import write_json
from drugtail.runtime.parquet import read_parquet, write_parquet

METRIC = "test_balanced_accuracy"


def block(
    root: Path,
    method: str = "cross_entropy",
    seeds: str = "0-1",
    diverged: tuple[int, ...] = (),
    finished: bool = True,
    encoder: str = "gcn",
) -> Path:
    """A block as training and evaluation leave it; without files if it is not `finished`."""
    folder = root / "hiv" / "random-0" / encoder / method / f"seeds{seeds}"
    first, last = map(int, seeds.split("-"))
    if not finished:
        return folder
    keys = {"dataset": "hiv", "split": "random-0", "encoder": encoder, "method": method}
    frames, status = [], {}
    for seed in range(first, last + 1):
        if seed in diverged:
            status[str(seed)] = {"status": "diverged", "epochs": 4, "best_epoch": None,
                                 "seconds": 1.5}  # fmt: skip
            continue
        status[str(seed)] = {"status": "finished", "epochs": 9, "best_epoch": 7, "seconds": 2.5}
        rng = np.random.default_rng([seed, len(method)])
        for part in ("valid", "test"):
            frame = pd.DataFrame(rng.normal(size=(30, 2)), columns=["logit_0", "logit_1"])
            labels = np.arange(30) % 3 // 2
            ids = [f"{part}{i}" for i in range(30)]
            frames.append(
                frame.assign(
                    id=ids, subset=part, label=labels, seed=seed, parent=range(30), new_parent=True
                )
            )
    columns = ["id", "subset", "label", "seed", "parent", "new_parent", "logit_0", "logit_1"]
    predictions = pd.concat(frames) if frames else pd.DataFrame(columns=columns)
    header = {**keys, "class_names": ["no", "yes"], "train_counts": [80, 20]}
    write_parquet(folder / "predictions.parquet", predictions, header)
    paths = [folder / "metrics.parquet", folder / "class_metrics.parquet"]
    evaluate_block(folder / "predictions.parquet", *paths)
    history = [
        {"seed": int(s), "moment": "chosen", "epoch": 0, "label": c, "weight": 1.0 + c}
        for s in status
        for c in (0, 1)
    ]
    header |= {"class_weights": "uniform"}
    write_parquet(folder / "class_history.parquet", pd.DataFrame(history), header)
    write_json(folder / "status.json", {"status": "finished", "seeds": status})
    return folder


def collected(root: Path, *folders: Path) -> pd.DataFrame:
    collect_blocks(folders, root / "metrics")
    return read_parquet(root / "metrics" / "runs.parquet")


def test_a_block_is_named_by_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "uspto_50k" / "scaffold-3" / "gcn" / "focal-0123abcd" / "seeds5-11"
    names = ("uspto_50k", "scaffold-3", "gcn", "focal", "0123abcd", "5-11")
    assert parse_block(folder)[:6] == names


@pytest.mark.parametrize(
    "path", ["hiv/random-0/gcn/focal", "seeds0-1", "a/b/c/d/seeds0", "a/b/c/d/seeds3-1", "a/b"]
)
def test_a_path_that_is_no_block_is_refused_by_name(tmp_path: Path, path: str) -> None:
    with pytest.raises(DrugtailError, match=re.escape(path)):
        collect_blocks([Path(path)], tmp_path / "metrics")


def test_every_run_becomes_a_row_with_its_metrics(tmp_path: Path) -> None:
    folders = [block(tmp_path), block(tmp_path, "focal"), block(tmp_path, seeds="2-2")]
    runs = collected(tmp_path, *folders)
    assert list(zip(runs["method"], runs["seed"], strict=True)) == [
        ("cross_entropy", 0), ("cross_entropy", 1), ("focal", 0), ("focal", 1),
        ("cross_entropy", 2),
    ]  # fmt: skip
    assert set(runs["status"]) == {"finished"}
    assert runs["epochs"].tolist() == [9] * 5
    assert runs["best_epoch"].tolist() == [7] * 5
    for folder, rows in zip(folders, ([0, 1], [2, 3], [4]), strict=True):
        metrics = read_parquet(folder / "metrics.parquet")
        assert runs.loc[rows, METRIC].tolist() == metrics[METRIC].tolist()
    classes = read_parquet(tmp_path / "metrics" / "class_metrics.parquet")
    assert len(classes) == 5 * 2 * 2
    assert not classes.duplicated(["method", "seed", "subset", "label"]).any()
    history = read_parquet(tmp_path / "metrics" / "class_history.parquet")
    assert history.groupby(["method", "seed"]).size().tolist() == [2] * 5


def test_an_absent_block_is_rows_that_say_missing(tmp_path: Path) -> None:
    runs = collected(tmp_path, block(tmp_path), block(tmp_path, "focal", finished=False))
    assert runs.groupby("method")["status"].agg(list).to_dict() == {
        "cross_entropy": ["finished"] * 2,
        "focal": ["missing"] * 2,
    }
    assert runs.loc[runs["status"] == "missing", METRIC].isna().all()
    assert runs.loc[runs["status"] == "finished", METRIC].notna().all()


def test_a_block_without_its_status_is_missing(tmp_path: Path) -> None:
    folder = block(tmp_path)
    (folder / "status.json").unlink()
    assert collected(tmp_path, folder)["status"].tolist() == ["missing", "missing"]


def test_a_diverged_run_is_a_row_without_metrics(tmp_path: Path) -> None:
    runs = collected(tmp_path, block(tmp_path, seeds="0-2", diverged=(1,)))
    assert runs["status"].tolist() == ["finished", "diverged", "finished"]
    assert runs["epochs"].tolist() == [9, 4, 9]
    assert runs["best_epoch"].isna().tolist() == [False, True, False]
    assert runs[METRIC].isna().tolist() == [False, True, False]


def test_nothing_but_failures_still_makes_the_tables(tmp_path: Path) -> None:
    folders = [block(tmp_path, diverged=(0, 1)), block(tmp_path, "focal", finished=False)]
    runs = collected(tmp_path, *folders)
    assert runs["status"].tolist() == ["diverged"] * 2 + ["missing"] * 2
    assert read_parquet(tmp_path / "metrics" / "class_metrics.parquet").empty


@pytest.mark.parametrize(("one", "two", "seed"), [("0-2", "2-4", 2), ("0-5", "3-3", 3)])
def test_seed_blocks_that_overlap_are_refused_with_both_names(
    tmp_path: Path, one: str, two: str, seed: int
) -> None:
    folders = [block(tmp_path, seeds=seeds, finished=False) for seeds in (one, two)]
    with pytest.raises(DrugtailError, match=f"seed {seed} stands in") as error:
        collect_blocks(folders, tmp_path / "metrics")
    for folder in folders:
        assert str(folder) in str(error.value)
    assert not (tmp_path / "metrics").exists()


def test_the_same_seeds_of_two_methods_are_no_overlap(tmp_path: Path) -> None:
    runs = collected(tmp_path, block(tmp_path), block(tmp_path, "focal"))
    assert runs.groupby("method")["seed"].agg(list).tolist() == [[0, 1], [0, 1]]
