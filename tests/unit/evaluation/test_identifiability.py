"""Identifiability."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from drugtail.config.catalogue import Catalogue
from drugtail.evaluation.identifiability import identifiability
from drugtail.report.plot import plot
from drugtail.report.tables import tabulate
from drugtail.runtime.files import write_parquet

CATALOGUE = Catalogue(Path(__file__).resolve().parents[3] / "config")


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


def test_a_class_without_test_molecules_is_left_out() -> None:
    classes, history = class_tables()
    classes.loc[(classes["label"] == 1) & (classes["subset"] == "test"), "recall"] = np.nan
    six = identifiability(classes, history).set_index("dataset").loc["six"]
    assert six["classes"] == 5
    assert six["separability_rho"] == pytest.approx(1)
    assert six["tail"] == 3


def test_without_finished_runs_there_is_a_table_without_rows(tmp_path: Path) -> None:
    classes, history = class_tables()
    write_parquet(tmp_path / "class_metrics.parquet", classes[["dataset", "seed"]].head(0))
    write_parquet(tmp_path / "class_history.parquet", history[["dataset", "seed"]].head(0))
    tabulate(tmp_path, CATALOGUE.table("identifiability"), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out.csv").empty
    assert "Easy tail classes" in (tmp_path / "out.md").read_text()
    plot(
        "identifiability",
        {
            "classes": [tmp_path / "class_metrics.parquet"],
            "history": [tmp_path / "class_history.parquet"],
        },
        tmp_path / "figure",
    )
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
