"""Runs of several methods, as `drugtail collect` writes them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.catalogue import Catalogue

CATALOGUE = Catalogue(Path(__file__).resolve().parents[1] / "config")


METRICS = ("balanced_accuracy", "balanced_accuracy_head", "balanced_accuracy_tail")


def class_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six classes whose recall follows separability and not size; and two classes elsewhere."""
    key = {"split": "random-0", "encoder": "gcn", "method": "class_distance"}
    recall = [0.2, 0.9, 0.4, 0.3, 0.95, 0.6]
    classes, history = [], []
    for dataset, number in (("six", 6), ("two", 2)):
        for seed in range(2):
            for label in range(number):
                run = {**key, "dataset": dataset, "seed": seed, "label": label}
                group = "head" if label < number // 2 else "tail"
                classes += [
                    run | {"subset": part, "label_name": f"c{label}", "group": group,
                           "n_train": 1000 // (label + 1), "recall": recall[label]}
                    for part in ("valid", "test")
                ]  # fmt: skip
                measured = {
                    "separability": recall[label] - 0.5,
                    "valid_separability": recall[label],
                }
                history.append(run | {"moment": "chosen", **measured})
                history.append(run | {"moment": "refresh", "separability": 0.0,
                                      "valid_separability": 0.0})  # fmt: skip
    return pd.DataFrame(classes), pd.DataFrame(history)


def paired_runs() -> pd.DataFrame:
    rows = []
    for dataset in ("a", "b"):
        for split in range(5):
            for method, gain in (("plain", 0.0), ("ours", 0.05), ("same", 0.0)):
                noise = 0.1 * split + (0.3 if dataset == "b" else 0)
                extra = 0.001 * split if method == "ours" else 0
                row = {"dataset": dataset, "split": f"random-{split}", "encoder": "gcn",
                       "method": method, "seed": 0, "status": "finished"}  # fmt: skip
                rows.append(row | {f"test_{m}": noise + gain + extra for m in METRICS})
    return pd.DataFrame(rows)
