"""Paired tests and intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
PAIR = ["dataset", "split", "seed"]


def compare_methods(runs: pd.DataFrame, method: str, columns: Sequence[str]) -> pd.DataFrame:
    """Compare one method with every other one, paired by data set, split and seed.

    The test is Wilcoxon's signed-rank test, two-sided; p values are corrected with Holm's method
    over all comparisons and metrics of the table. Runs of one split share their molecules: the
    test speaks of training seeds and of these data sets, not of other splits.

    Parameters
    ----------
    runs
        Finished runs: `PAIR`, ``method`` and `columns`. Pairs in which a value is missing are left
        out.
    method
        The method that differences are taken of.
    columns
        Metrics.

    Returns
    -------
    pandas.DataFrame
        One row per other method and metric: ``against``, ``metric``, ``pairs``, ``difference``
        (mean), ``low`` and ``high`` (95 % bootstrap interval over pairs), ``wins``, ``losses``,
        ``p`` and ``p_holm``.
    """
    wide = runs.pivot_table(index=PAIR, columns="method", values=list(columns), sort=False)
    rows = []
    for other in runs["method"].unique():
        if other == method:
            continue
        for column in columns:
            both = {(column, method), (column, other)} <= set(wide.columns)
            values = (
                (wide[column, method] - wide[column, other]).dropna().to_numpy()
                if both
                else np.empty(0)
            )
            low, high = bootstrap_mean(values)
            rows.append(
                {
                    "against": other,
                    "metric": column,
                    "pairs": len(values),
                    "difference": values.mean() if len(values) else np.nan,
                    "low": low,
                    "high": high,
                    "wins": int((values > 0).sum()),
                    "losses": int((values < 0).sum()),
                    "p": signed_rank(values),
                }
            )
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float)) if len(table) else []
    return table


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Two-sided p value of Wilcoxon's signed-rank test; 1 if all are zero, NaN without any."""
    if not len(differences):
        return float("nan")
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences).pvalue)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p values for their number (Holm, 1979); NaN stays and does not count."""
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def bootstrap_mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a mean; NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Spearman's rank correlation over classes, mean over seeds, with a 95 % interval.

    Parameters
    ----------
    x, y
        One row per seed, one column per class, [seeds, C].

    Returns
    -------
    tuple of float
        Mean over seeds, and the bounds of a percentile bootstrap over classes (the same classes
        are drawn for all seeds). NaN for fewer than four classes, where ranks say nothing.
    """
    classes = x.shape[1]
    if classes < 4:
        return (float("nan"),) * 3
    generator = np.random.default_rng(0)
    drawn = generator.integers(classes, size=(RESAMPLES, classes))
    found = _spearman(x, y).mean()
    resampled = np.nanmean(
        [_spearman(row_x[drawn], row_y[drawn]) for row_x, row_y in zip(x, y, strict=True)], axis=0
    )
    low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(found), float(low), float(high)


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's correlation of each row; NaN where a row is constant."""
    a, b = stats.rankdata(x, axis=1), stats.rankdata(y, axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    product = (a * b).sum(axis=1)
    result = np.full(len(norm), np.nan)
    np.divide(product, norm, out=result, where=norm > 0)
    return result
