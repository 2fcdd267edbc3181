"""Runs of several methods, as `drugtail collect` writes them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.catalogue import Catalogue

CATALOGUE = Catalogue(Path(__file__).resolve().parents[1] / "config")


METRICS = ("balanced_accuracy", "balanced_accuracy_head", "balanced_accuracy_tail")


def class_metrics() -> pd.DataFrame:
    """Six classes whose recall follows their silhouette and not size; and two classes elsewhere."""
    key = {"encoder": "gcn", "method": "class_distance", "seed": 0}
    recall = [0.2, 0.9, 0.4, 0.3, 0.95, 0.6]
    rows = [
        key | {"dataset": dataset, "split": f"cv-0-{fold}", "subset": subset, "label": label,
               "label_name": f"c{label}", "group": "head" if label < number // 2 else "tail",
               "n": 40, "n_train": 1000 // (label + 1), "parents": 40, "recall": recall[label],
               "silhouette": recall[label] / 2 - 0.3, "nearest_silhouette": 0.1 * label}
        for dataset, number in (("six", 6), ("two", 2)) for fold in range(2)
        for label in range(number) for subset in ("valid", "test")
    ]  # fmt: skip
    return pd.DataFrame(rows)


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
