"""Rows by the threshold of GHOST, from stored predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from finished_block import block
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from drugtail.config.table import Table
from drugtail.evaluation.collect import check_complete, collect_blocks
from drugtail.evaluation.evaluate import evaluate_block
from drugtail.methods.ghost import ghost_threshold
from drugtail.report.tables import tabulate
from drugtail.runtime.files import write_json
from drugtail.runtime.parquet import read_parquet, write_parquet

COUNTS = [180, 20]


def two_classes(root: Path) -> Path:
    """A block of two seeds whose probabilities of the smaller class are too small."""
    folder = root / "toy" / "random-0" / "gcn" / "focal-01234567" / "seeds0-1"
    rng = np.random.default_rng(4)
    frames = []
    for seed in (0, 1):
        for subset in ("valid", "test"):
            labels = (rng.random(200) < 0.15).astype(int)
            odds = rng.normal(-2.4 + 2.0 * labels, 1.0)
            logits = np.stack([np.zeros(200), odds], axis=1)
            frame = pd.DataFrame(logits, columns=["logit_0", "logit_1"])
            ids = [f"{subset}{i}" for i in range(200)]
            frames.append(frame.assign(id=ids, subset=subset, label=labels, seed=seed,
                                       parent=range(200), new_parent=True))  # fmt: skip
    header = {"dataset": "toy", "split": "random-0", "encoder": "gcn", "method": "focal",
              "class_names": ["no", "yes"], "train_counts": COUNTS}  # fmt: skip
    write_parquet(folder / "predictions.parquet", pd.concat(frames), header)
    outputs = (folder / "metrics.parquet", folder / "class_metrics.parquet")
    evaluate_block(folder / "predictions.parquet", *outputs)
    history = [
        {"seed": s, "moment": "chosen", "epoch": 0, "label": 0, "weight": 1.0} for s in (0, 1)
    ]
    write_parquet(folder / "class_history.parquet", pd.DataFrame(history), header)
    state = {"status": "finished", "epochs": 3, "best_epoch": 1, "seconds": 1.0}
    write_json(folder / "status.json", {"status": "finished", "seeds": {"0": state, "1": state}})
    return folder


def test_a_row_by_threshold_decides_by_the_validation_molecules_of_its_run(tmp_path: Path) -> None:
    folder = two_classes(tmp_path)
    collect_blocks([folder], tmp_path / "metrics", thresholds=True)
    runs = read_parquet(tmp_path / "metrics/runs.parquet").set_index(["method", "seed"])
    assert sorted(runs.index.levels[0]) == ["focal", "focal+ghost"]
    frame = read_parquet(folder / "predictions.parquet")
    for seed in (0, 1):
        parts = dict(iter(frame[frame["seed"] == seed].groupby("subset")))
        said = {
            name: softmax(rows[["logit_0", "logit_1"]].to_numpy(), axis=1)[:, 1]
            for name, rows in parts.items()
        }
        threshold = ghost_threshold(said["valid"], (parts["valid"]["label"] == 1).to_numpy())
        assert threshold < 0.5
        found, labels = said["test"] >= threshold, parts["test"]["label"]
        row = runs.loc[("focal+ghost", seed)]
        assert row["test_balanced_accuracy"] == pytest.approx(
            balanced_accuracy_score(labels, found)
        )
        assert row["test_cohen_kappa"] == pytest.approx(cohen_kappa_score(labels, found))
        plain = runs.loc[("focal", seed)]
        assert row["test_balanced_accuracy"] > plain["test_balanced_accuracy"]
        # Another threshold, the same order.
        assert row["test_auroc"] == pytest.approx(plain["test_auroc"])
    # It is no run of its own.
    assert check_complete(tmp_path / "metrics/runs.parquet") == 2
    definition = {
        "name": "t", "title": "t", "kind": "metrics",
        "columns": [{"metric": "balanced_accuracy", "title": "B"}],
    }  # fmt: skip
    table = Table.model_validate(definition)
    tabulate(tmp_path / "metrics", table, tmp_path / "table", reference="focal")
    text = (tmp_path / "table.md").read_text()
    assert "focal+ghost" in text
    assert "METHOD+ghost: the smaller of two classes is said from another probability on" in text


def test_of_more_classes_there_is_no_threshold(tmp_path: Path) -> None:
    folder = block(tmp_path, "random-0", [0, 1, 2, 3])
    collect_blocks([folder], tmp_path / "metrics", thresholds=True)
    runs = read_parquet(tmp_path / "metrics/runs.parquet")
    assert set(runs["method"]) == {"focal"}
