"""Recall of classes against their size and their separability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.recall_by_separability import (
    OVER_ALL,
    SILHOUETTES,
    recall_by_separability,
)
from drugtail.evaluation.settings import with_tuned_names
from drugtail.report.table_notes import settings_notes
from drugtail.report.table_rows import UNDEFINED, with_settings
from drugtail.report.tables import TABLE_KINDS, Contents
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet

TITLES = {
    "size_silhouette": "Size and silhouette",
    "size": "Recall and size",
    "silhouette": "Recall and silhouette",
    "silhouette_given_size": "The same, size held fixed",
    "size_given_silhouette": "Recall and size, silhouette held fixed",
    "nearest_given_size": "Recall and nearest silhouette, size held fixed",
}
SLOPE = "Points of recall for 0.1 of silhouette"
NOTE = (
    "Silhouette of a class: mean over its training parents of (b - a) / max(a, b), a the mean "
    "Tanimoto distance of Morgan fingerprints to its own class, b that to the nearest other class; "
    "measured before training, without test molecules. Nearest silhouette: the same by nearest "
    "parents. Recall: of a class's test molecules over all splits. Correlations are Spearman's, in "
    "brackets the 95 % interval of a bootstrap over classes; held fixed: partial ones. Points: "
    "coefficient of a least-squares line over classes, size (its logarithm) in it, with its 95 % "
    f"interval; rows {OVER_ALL!r}: mean over data sets of a hierarchical model with its credible "
    f"interval. {UNDEFINED}: too few classes, or values that do not vary (sizes: by a factor of "
    "two). Easy tail classes: those whose recall is above the mean over all classes."
)


@TABLE_KINDS.register("separability")
def separability(metrics: Path, table: Table, reference: str) -> Contents:
    """Correlations of recall with class size and with silhouettes measured before training."""
    frame = with_tuned_names(read_parquet(metrics / "class_metrics.parquet"))
    if len(frame) and not set(SILHOUETTES) <= set(frame):
        raise DrugtailError(
            f"{metrics}/class_metrics.parquet: has no silhouettes; name a table of kind "
            "separability in the benchmark's `tables` and run it, or give `drugtail collect` what "
            "`drugtail separability` wrote"
        )
    tested = frame[frame["subset"] == "test"] if len(frame) else frame
    found = with_settings(recall_by_separability(tested), "method", frame)
    return Contents(found, _printed(found), [NOTE, *settings_notes(frame)])


def _printed(found: pd.DataFrame) -> pd.DataFrame:
    names = ["Data set", "Split", "Method"]
    names += ["Settings"] if "settings" in found else []
    names += ["Encoder"] if found["encoder"].nunique() > 1 else []
    names += ["Classes", "Trained on", *TITLES.values(), SLOPE, "Easy tail classes"]
    rows = [_cells(row) for row in found.to_dict("records")]
    return pd.DataFrame(rows, columns=names).fillna("")


def _cells(row: dict[Any, Any]) -> dict[str, str]:
    cells = {
        "Data set": row["dataset"],
        "Split": row["split"],
        "Method": row["method"],
        "Settings": row.get("settings"),
        "Encoder": row["encoder"],
        SLOPE: _interval(row, "slope", "slope_low", "slope_high", scale=100, digits=1),
    }
    if row["dataset"] == OVER_ALL:
        return cells
    ends = sorted({f"{row['smallest']:.0f}", f"{row['largest']:.0f}"}, key=int)
    correlations = {
        title: _interval(row, f"{name}_rho", f"{name}_low", f"{name}_high", digits=2)
        for name, title in TITLES.items()
    }
    easy = UNDEFINED
    if not np.isnan(row["tail"]):
        easy = f"{row['easy_tail']:.0f} of {row['tail']:.0f}"
    return {
        **cells,
        "Classes": f"{row['classes']:.0f}",
        "Trained on": " to ".join(ends),
        **correlations,
        "Easy tail classes": easy,
    }


def _interval(
    row: dict[Any, Any], value: str, low: str, high: str, *, digits: int, scale: float = 1
) -> str:
    if np.isnan(row[value]):
        return UNDEFINED
    shown = (f"{scale * row[name]:+.{digits}f}" for name in (value, low, high))
    return "{} [{}, {}]".format(*shown)
