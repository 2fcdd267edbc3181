"""Identifiability."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from collected_runs import CATALOGUE, class_tables

from drugtail.evaluation.identifiability import identifiability
from drugtail.report.plot import plot
from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import write_parquet


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
