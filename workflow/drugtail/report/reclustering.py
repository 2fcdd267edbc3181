"""Measurements of classes at each re-clustering: the data of a chart of the page."""

from __future__ import annotations

import pandas as pd

from drugtail.evaluation.row_names import row_names

# Columns of class_history.parquet -> what people are shown.
MEASURED = {
    "weight": "class weight (mean 1)",
    "class_distance": "distance to the nearest class",
    "subclusters": "sub-clusters",
    "valid_separability": "separability (validation)",
    "valid_recall": "recall (validation)",
}
# Methods with more rows together are left out, the last ones first.
MOST_ROWS = 12_000


def at_reclusterings(history: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of ``class_history.parquet`` that a re-clustering measured."""
    return history[history["moment"] == "refresh"] if "moment" in history else history.head(0)


def reclusterings(
    history: pd.DataFrame, classes: pd.DataFrame, order: list[str]
) -> tuple[pd.DataFrame, int]:
    """Return what was measured at each re-clustering, mean over splits and seeds.

    Parameters
    ----------
    history
        ``class_history.parquet`` of one data set on one kind of split.
    classes
        ``class_metrics.parquet`` of the same, for the names of the classes.
    order
        Names of methods with their encoders, the most important first.

    Returns
    -------
    pandas.DataFrame
        ``name``, ``label_name``, ``n`` (training molecules), ``epoch`` and those of `MEASURED` that
        were measured. Empty where no method re-clusters.
    int
        Methods that are left out, since there are more than `MOST_ROWS` rows.
    """
    rows = at_reclusterings(history)
    measured = [name for name in MEASURED if name in rows and rows[name].notna().any()]
    if rows.empty or not measured:
        return pd.DataFrame(), 0
    named = rows.assign(name=row_names(rows))
    labels = classes.drop_duplicates("label").set_index("label")["label_name"]
    named["label_name"] = named["label"].map(labels).fillna(named["label"].astype(str))
    keys = ["name", "label_name", "epoch"]
    means = named.groupby(keys, sort=False)[["n", *measured]].mean().astype(float).reset_index()
    names = [name for name in order if name in set(means["name"])]
    each = max(1, int(means.groupby("name").size().max()))
    kept = names[: max(1, MOST_ROWS // each)]
    shown = means[means["name"].isin(kept)]
    ordered = shown.sort_values("name", key=lambda name: name.map(kept.index), kind="stable")
    return ordered.reset_index(drop=True), len(names) - len(kept)
