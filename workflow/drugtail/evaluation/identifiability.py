"""Which classes are easy to tell apart: recall against class size and against separability."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.evaluation.rank_correlation import rank_correlation

ROW = ["dataset", "split", "encoder", "method"]
# Column -> what recall is correlated with, and what is held fixed while that is done.
AGAINST = {
    "n_train": ("n_train",),
    "separability": ("separability",),
    "valid_separability": ("valid_separability",),
    "valid_separability_given_size": ("valid_separability", "n_train"),
}
COLUMNS = [
    *ROW, "seeds", "classes",
    *(f"{name}_{kind}" for name in AGAINST for kind in ("rho", "low", "high")),
    "tail", "easy_tail",
]  # fmt: skip


def identifiability(classes: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """Rank correlations, over classes, of test recall with size and with separability.

    Parameters
    ----------
    classes
        ``class_metrics.parquet`` of `drugtail collect`: recall per run, subset and class.
    history
        ``class_history.parquet``; its rows of moment ``chosen`` were measured with the weights
        that made the predictions. Separability is the mean silhouette of a class's training
        molecules or, ``valid_separability``, of its validation molecules.

    Returns
    -------
    pandas.DataFrame
        One row per data set, split, encoder and method that has embeddings: ``classes``,
        ``seeds``, per name x of `AGAINST` ``{x}_rho``, ``{x}_low`` and ``{x}_high`` (95 %
        interval), ``tail`` (classes) and ``easy_tail``: how many of them have a recall above the
        mean over all classes, both averaged over seeds. ``valid_separability_given_size`` holds
        class size fixed: a large class has more sub-clusters, so that its molecules have a near
        centre more easily. Classes without test molecules are left out.
    """
    if classes.empty or history.empty:
        return pd.DataFrame(columns=COLUMNS)
    measured = history[(history["moment"] == "chosen") & history["separability"].notna()]
    keys = [*ROW, "seed", "label"]
    tested = classes[(classes["subset"] == "test") & classes["recall"].notna()]
    joined = tested.merge(measured[[*keys, "separability", "valid_separability"]], on=keys)
    rows = []
    for key, group in joined.groupby(ROW, sort=False):
        recall = _by_seed(group, "recall")
        row = dict(zip(ROW, key, strict=True))
        row |= {"seeds": len(recall), "classes": recall.shape[1]}
        for name, measures in AGAINST.items():
            values = rank_correlation(recall, *(_by_seed(group, m) for m in measures))
            row |= dict(zip((f"{name}_rho", f"{name}_low", f"{name}_high"), values, strict=True))
        mean = group.groupby("label").agg(recall=("recall", "mean"), group=("group", "first"))
        tail = mean.loc[mean["group"] == "tail", "recall"]
        row |= {"tail": len(tail), "easy_tail": int((tail > mean["recall"].mean()).sum())}
        rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _by_seed(group: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Values of a column, one row per seed and one column per class."""
    return group.pivot_table(index="seed", columns="label", values=column).to_numpy(dtype=float)
