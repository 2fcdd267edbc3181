"""Recall of each class over the splits of a kind, with an interval."""

from __future__ import annotations

import pandas as pd

from drugtail.config.split_name import parse_split
from drugtail.evaluation.statistics import LEVEL, ROW, kind_of

COLUMNS = [
    *ROW, "kind", "label", "label_name", "group", "n_train", "parents", "recall", "low", "high",
]  # fmt: skip
# What a row is of.
CLASS = ["dataset", "kind", "encoder", "method", "label"]


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
    # A class has a row per training seed, of which parents and training molecules count once.
    once = frame.drop_duplicates([*CLASS, "split"])
    parents = once.groupby([*CLASS, "repetition"], sort=False)["parents"].sum()
    classes = once.groupby(CLASS, sort=False)
    found = classes.agg(
        split=("split", "first"), number=("split", "size"), label_name=("label_name", "first"),
        n_train=("n_train", "mean"),
    )  # fmt: skip
    found["group"] = _most_frequent(once, "group")
    found["parents"] = parents.groupby(CLASS, sort=False).max().astype("int64")
    known = frame.dropna(subset="recall")
    known = known.assign(right=known["recall"] * known["n"])
    summed = known.groupby(CLASS, sort=False)[["right", "n"]].sum().reindex(found.index)
    found["recall"] = (summed["right"] / summed["n"]).where(summed["n"] > 0)
    judged = (found["parents"] > 0) & found["recall"].notna()
    right = (found["recall"] * found["parents"])[judged]
    for name, ends in zip(
        ("low", "high"),
        proportion_confint(right, found["parents"][judged], alpha=1 - LEVEL, method="wilson"),
        strict=True,
    ):
        found[name] = ends
    found = found.reset_index()
    several = found["kind"] + ", " + found["number"].astype(str) + " splits"
    found["split"] = found["split"].where(found["number"] == 1, several)
    return found[COLUMNS]


def _most_frequent(rows: pd.DataFrame, column: str) -> pd.Series:
    """Return the most frequent value of each class, of equally frequent ones the first by name."""
    counts = rows.groupby([*CLASS, column], sort=True).size().rename("times").reset_index()
    best = counts.sort_values("times", ascending=False, kind="stable").drop_duplicates(CLASS)
    return best.set_index(CLASS)[column]


def _repetition(split: str) -> str:
    """Return what folds are of: of ``cv-2-3`` ``cv-2``; any other split is one of its own."""
    name = parse_split(split)
    return str(name._replace(fold=None))
