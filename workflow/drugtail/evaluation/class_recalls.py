"""Recall of each class over the splits of a kind, with an interval."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drugtail.config.split_name import parse_split
from drugtail.evaluation.statistics import LEVEL, ROW, kind_of, named_splits

COLUMNS = [
    *ROW, "kind", "label", "label_name", "group", "n_train", "parents", "recall", "low", "high",
]  # fmt: skip


def class_recalls(tested: pd.DataFrame) -> pd.DataFrame:
    """Return the recall of each class over the splits of each kind.

    Parameters
    ----------
    tested
        Rows of ``class_metrics.parquet`` on test molecules.

    Returns
    -------
    pandas.DataFrame
        `ROW`, ``kind`` of the splits, ``label``, ``label_name``, ``group`` (where splits differ in
        it, the most frequent), ``n_train`` (mean over splits), ``parents`` (distinct ones tested:
        of a cross-validation those of a repetition, else those of the split that tests most),
        ``recall``, ``low`` and ``high``. Runs that were evaluated before parents were counted have
        molecules there.
    """
    from statsmodels.stats.proportion import proportion_confint

    frame = tested.assign(
        kind=tested["split"].map(kind_of), repetition=tested["split"].map(_repetition)
    )
    if "parents" not in frame:
        frame["parents"] = frame["n"]
    rows = []
    keys = ["dataset", "kind", "encoder", "method", "label"]
    for (dataset, kind, encoder, method, label), group in frame.groupby(keys, sort=False):
        once = group.drop_duplicates("split")
        parents = int(once.groupby("repetition")["parents"].sum().max())
        known = group.dropna(subset="recall")
        number = known["n"].sum()
        recall = float((known["recall"] * known["n"]).sum() / number) if number else np.nan
        low, high = (
            proportion_confint(recall * parents, parents, alpha=1 - LEVEL, method="wilson")
            if parents and number
            else (np.nan, np.nan)
        )
        rows.append(
            {
                "dataset": dataset,
                "split": named_splits(group["split"]),
                "encoder": encoder,
                "kind": kind,
                "method": method,
                "label": label,
                "label_name": group["label_name"].iloc[0],
                "group": once["group"].mode().iloc[0],
                "n_train": once["n_train"].mean(),
                "parents": parents,
                "recall": recall,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _repetition(split: str) -> str:
    """Return what folds are of: of ``cv-2-3`` ``cv-2``; any other split is one of its own."""
    name = parse_split(split)
    return str(name._replace(fold=None))
