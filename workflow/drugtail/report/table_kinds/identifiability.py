"""Rank correlations of a class's recall with its size and with its separability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.identifiability import identifiability
from drugtail.evaluation.settings import with_tuned_names
from drugtail.report.table_notes import settings_notes
from drugtail.report.table_rows import UNDEFINED, with_settings
from drugtail.report.tables import TABLE_KINDS, Contents
from drugtail.runtime.parquet import read_parquet

NOTES = [
    "Spearman's rank correlation, over classes, of test recall with the size of the class and with "
    "its separability (mean silhouette of its training or validation molecules in the embedding "
    "that made the predictions): mean over runs, in brackets the 95 % interval of a bootstrap over "
    "classes. n/a: fewer than four classes, or the same recall for all. Training molecules took "
    "part in their own centres, validation molecules did not. Size held fixed: the partial rank "
    "correlation, since a class of many sub-clusters has a near centre more easily. Easy tail "
    "classes: those whose recall is above the mean over all classes."
]


@TABLE_KINDS.register("identifiability")
def _identifiability(metrics: Path, table: Table, reference: str) -> Contents:
    """Rank correlations of a class's recall with its size and with its separability."""
    classes = with_tuned_names(read_parquet(metrics / "class_metrics.parquet"))
    history = with_tuned_names(read_parquet(metrics / "class_history.parquet"))
    found = with_settings(identifiability(classes, history), "method", classes)
    notes = [*NOTES, *settings_notes(classes)]
    return Contents(found, _printed_identifiability(found), notes)


def _printed_identifiability(found: pd.DataFrame) -> pd.DataFrame:
    titles = {
        "n_train": "Class size",
        "separability": "Separability (training)",
        "valid_separability": "Separability (validation)",
        "valid_separability_given_size": "The same, size held fixed",
    }
    rows = []
    names = [
        "Data set",
        "Split",
        "Method",
        *(["Settings"] if "settings" in found else []),
        "Runs",
        "Classes",
        *titles.values(),
        "Easy tail classes",
    ]
    for row in found.to_dict("records"):
        cells = {"Data set": row["dataset"], "Split": row["split"], "Method": row["method"],
                 "Settings": row.get("settings"), "Runs": str(row["seeds"]),
                 "Classes": str(row["classes"])}  # fmt: skip
        for name, title in titles.items():
            rho, low, high = (row[f"{name}_{kind}"] for kind in ("rho", "low", "high"))
            cells[title] = UNDEFINED if np.isnan(rho) else f"{rho:+.2f} [{low:+.2f}, {high:+.2f}]"
        cells["Easy tail classes"] = f"{row['easy_tail']} of {row['tail']}"
        rows.append(cells)
    return pd.DataFrame(rows, columns=names)
