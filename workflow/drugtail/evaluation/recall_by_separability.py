"""Recall of classes against their size, and against how far they lie apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.evaluation.across import Effect, hierarchical
from drugtail.evaluation.class_recalls import class_recalls
from drugtail.evaluation.rank_correlation import rank_correlation
from drugtail.evaluation.statistics import ROW, kind_of, t_quantile

SILHOUETTES = ["silhouette", "nearest_silhouette"]
# Column -> what is correlated, and what is held fixed while that is done.
CORRELATIONS = {
    "size_silhouette": ("n_train", "silhouette"),
    "size": ("recall", "n_train"),
    "silhouette": ("recall", "silhouette"),
    "silhouette_given_size": ("recall", "silhouette", "n_train"),
    "size_given_silhouette": ("recall", "n_train", "silhouette"),
    "nearest_given_size": ("recall", "nearest_silhouette", "n_train"),
}
KINDS = ("rho", "low", "high")
COLUMNS = [
    *ROW, "classes", "parents", "smallest", "largest",
    *(f"{name}_{kind}" for name in CORRELATIONS for kind in KINDS),
    "slope", "slope_low", "slope_high", "tail", "easy_tail",
]  # fmt: skip
# Slopes are told for such a step of the silhouette.
STEP = 0.1
# Degrees of freedom below which a slope is not told.
FEWEST_FREE = 3
# Scale of the half-normal prior of the standard deviation between data sets: ten points.
BETWEEN = 0.1
# Recalls that a line meets exactly are known to a hundred-thousandth.
SMALLEST_ERROR = 1e-5
OVER_ALL = "all"


def recall_by_separability(tested: pd.DataFrame) -> pd.DataFrame:
    """Return how the recall of classes goes with their size and with their separability.

    Parameters
    ----------
    tested
        Rows of ``class_metrics.parquet`` on test molecules, with the columns `SILHOUETTES` of
        `drugtail.features.separability`.

    Returns
    -------
    pandas.DataFrame
        A row per data set, kind of split, encoder and method, its values being means over splits:
        ``classes`` that are tested and have a silhouette, ``parents`` tested, ``smallest`` and
        ``largest`` class size, per name x of `CORRELATIONS` ``{x}_rho``, ``{x}_low`` and
        ``{x}_high`` (Spearman's, with the 95 % interval of a bootstrap over classes), ``slope``:
        how much recall goes with a silhouette that is 0.1 higher, at equal size (`class_slope`),
        and ``easy_tail`` of ``tail`` classes: those whose recall is above the mean of all. What
        needs size is missing where the largest class is not twice as large as the smallest, and
        the tail where `has_tail` is false.
        Where two data sets or more have a slope, a row ``all`` follows with their mean by
        `drugtail.evaluation.across.hierarchical`.
    """
    if tested.empty:
        return pd.DataFrame(columns=COLUMNS)
    known = measured_classes(tested)
    rows = []
    for (kind, encoder, method), of_method in known.groupby(
        ["kind", "encoder", "method"], sort=False
    ):
        effects = []
        for (dataset, split), group in of_method.groupby(["dataset", "split"], sort=False):
            name = dict(zip(ROW, (dataset, split, encoder, method), strict=True))
            slope = class_slope(group)
            rows.append(name | _of_classes(group) | _told(slope))
            effects += [] if slope is None else [slope]
        if len(effects) > 1:
            found = hierarchical(effects, between=BETWEEN)
            name = dict(zip(ROW, (OVER_ALL, kind, encoder, method), strict=True))
            ends = {"slope_low": found.low, "slope_high": found.high}
            rows.append(name | {"slope": found.mean, **ends})
    return pd.DataFrame(rows, columns=COLUMNS)


def measured_classes(tested: pd.DataFrame) -> pd.DataFrame:
    """Return what `class_recalls` gives, with `SILHOUETTES` (means over splits), where both are."""
    frame = tested.assign(kind=tested["split"].map(kind_of))
    keys = ["dataset", "kind", "label"]
    measured = frame.groupby(keys)[SILHOUETTES].mean().reset_index()
    known = class_recalls(tested).merge(measured, on=keys)
    return known.dropna(subset=["recall", "silhouette"])


def class_slope(classes: pd.DataFrame) -> Effect | None:
    """Return how much recall goes with a silhouette that is 0.1 higher, at equal class size.

    The coefficient of the silhouette in a least-squares line through the recall of classes; the
    logarithm of their size is in it, too, unless all have one size within a factor of two.

    Parameters
    ----------
    classes
        ``recall``, ``n_train`` and ``silhouette`` of each.

    Returns
    -------
    Effect or None
        None where fewer than three degrees of freedom are left, or silhouettes do not vary.
    """
    size = np.log2(classes["n_train"].to_numpy(dtype=float))
    columns = [np.ones(len(classes)), classes["silhouette"].to_numpy(dtype=float) / STEP]
    columns += [size] if sizes_vary(classes) else []
    x = np.column_stack(columns)
    free = len(x) - x.shape[1]
    if free < FEWEST_FREE or np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    y = classes["recall"].to_numpy(dtype=float)
    found, *_ = np.linalg.lstsq(x, y)
    variance = ((y - x @ found) ** 2).sum() / free * np.linalg.inv(x.T @ x)[1, 1]
    return Effect(float(found[1]), max(float(variance**0.5), SMALLEST_ERROR), free)


def _told(slope: Effect | None) -> dict[str, float]:
    """A slope with its interval, as columns."""
    if slope is None:
        return {}
    half = t_quantile(slope.freedom) * slope.error
    return {
        "slope": slope.mean,
        "slope_low": slope.mean - half,
        "slope_high": slope.mean + half,
    }


def _of_classes(group: pd.DataFrame) -> dict[str, float]:
    """Sizes and correlations of the classes of one row."""
    found: dict[str, float] = {
        "classes": len(group),
        "parents": int(group["parents"].sum()),
        "smallest": float(group["n_train"].min()),
        "largest": float(group["n_train"].max()),
    }
    for name, measures in CORRELATIONS.items():
        if "n_train" in measures and not sizes_vary(group):
            continue
        values = rank_correlation(*(_row(group[measure]) for measure in measures))
        found |= dict(zip((f"{name}_{kind}" for kind in KINDS), values, strict=True))
    if has_tail(group):
        tail = group.loc[group["group"] == "tail", "recall"]
        found |= {"tail": len(tail), "easy_tail": int((tail > group["recall"].mean()).sum())}
    return found


def sizes_vary(classes: pd.DataFrame) -> bool:
    """Return whether the largest class is at least twice as large as the smallest."""
    return bool(classes["n_train"].max() >= 2 * classes["n_train"].min())


def has_tail(classes: pd.DataFrame) -> bool:
    """Return whether tail classes are smaller than the largest; few-shot splits make ties."""
    tail = classes.loc[classes["group"] == "tail", "n_train"]
    return bool(len(tail) and tail.max() < classes["n_train"].max())


def _row(values: pd.Series) -> NDArray[np.float64]:
    """Values of classes as one series of them, [1, C]."""
    return values.to_numpy(dtype=float)[None]
