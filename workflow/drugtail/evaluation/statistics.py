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
    over all comparisons and metrics of the table. Runs of one split share their molecules: test
    and interval speak of training seeds on these splits, not of other splits or data sets. Five
    pairs can reach no p below 0.0625.

    Parameters
    ----------
    runs
        Finished runs: `PAIR`, ``encoder``, ``method`` and `columns`. Pairs in which a value is
        missing are left out. A method that ran on several encoders is compared within each.
    method
        The method that differences are taken of.
    columns
        Metrics.

    Returns
    -------
    pandas.DataFrame
        One row per other method and metric: ``against``, ``metric``, ``pairs``, ``difference``
        (mean), ``low`` and ``high`` (its 95 % interval, seeds drawn anew within each data set and
        split), ``wins``, ``losses``, ``p``, ``p_holm`` and, per data set, ``on_{dataset}`` (mean
        difference there).
    """
    several = runs.duplicated([*PAIR, "method"]).any()
    pair = [*PAIR, "encoder"] if several else PAIR
    wide = runs.pivot_table(index=pair, columns="method", values=list(columns), sort=False)
    rows = []
    for other in runs["method"].unique():
        if other == method:
            continue
        for column in columns:
            both = {(column, method), (column, other)} <= set(wide.columns)
            found = (
                (wide[column, method] - wide[column, other]).dropna()
                if both
                else pd.Series(dtype=float, index=wide.index[:0])
            )
            values = found.to_numpy(dtype=float)
            strata = [part.to_numpy(dtype=float) for _, part in found.groupby(level=pair[:2])]
            low, high = bootstrap_mean(strata)
            by_dataset = found.groupby(level="dataset").mean()
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
                | {f"on_{name}": by_dataset.get(name, np.nan) for name in runs["dataset"].unique()}
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


def bootstrap_mean(strata: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of all values, drawn anew per stratum.

    NaN without values, or if a stratum has a single one, which cannot vary.
    """
    if not strata or min(map(len, strata)) < 2:
        return float("nan"), float("nan")
    generator = np.random.default_rng(0)
    total = np.zeros(RESAMPLES)
    for values in strata:
        total += values[generator.integers(len(values), size=(RESAMPLES, len(values)))].sum(axis=1)
    mean = total / sum(map(len, strata))
    low, high = np.quantile(mean, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def rank_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], given: NDArray[np.float64] | None = None
) -> tuple[float, float, float]:
    """Spearman's rank correlation over classes, mean over seeds, with a 95 % interval.

    Parameters
    ----------
    x, y
        One row per seed, one column per class, [seeds, C].
    given
        A third quantity of that shape to hold fixed: the partial rank correlation (Kendall, 1942),
        (r_xy − r_xz · r_yz) / √((1 − r_xz²)(1 − r_yz²)).

    Returns
    -------
    tuple of float
        Mean over the seeds whose values differ between classes, and the bounds of a percentile
        bootstrap over classes (the same classes are drawn for all seeds), which with so few
        classes is approximate. NaN for fewer than four classes, where ranks say nothing, and
        without such a seed.
    """
    known = (x, y) if given is None else (x, y, given)
    correlation = _spearman if given is None else _partial_spearman
    classes = x.shape[1]
    found = correlation(*known) if classes >= 4 else np.empty(0)
    told = ~np.isnan(found)
    if not told.any():
        return (float("nan"),) * 3
    drawn = np.random.default_rng(0).integers(classes, size=(RESAMPLES, classes))
    resampled = np.ma.masked_invalid(
        [
            correlation(*(values[drawn] for values in seed))
            for seed in zip(*(values[told] for values in known), strict=True)
        ]
    )
    # A draw of equal values alone has no correlation and is left out.
    means = resampled.mean(axis=0).compressed()
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(found[told].mean()), float(low), float(high)


def _partial_spearman(
    x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Partial correlation of ranks in each row; NaN where z leaves nothing of x or y."""
    xy, xz, yz = _spearman(x, y), _spearman(x, z), _spearman(y, z)
    left = (1 - xz**2) * (1 - yz**2)
    result = np.full(len(left), np.nan)
    # Rounding leaves 1e-16 of nothing.
    np.divide(xy - xz * yz, np.sqrt(left.clip(0)), out=result, where=left > 1e-9)
    return result.clip(-1, 1)


def _spearman(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's correlation of each row; NaN where a row is constant."""
    a, b = stats.rankdata(x, axis=1), stats.rankdata(y, axis=1)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norm = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    product = (a * b).sum(axis=1)
    result = np.full(len(norm), np.nan)
    np.divide(product, norm, out=result, where=norm > 0)
    return result
