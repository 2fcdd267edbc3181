"""Paired tests and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from drugtail.evaluation.metrics import smaller_is_better
from drugtail.runtime.errors import DrugtailError, fault_in, file_of
from drugtail.runtime.registry import Registry

RESAMPLES = 10_000
LEVEL = 0.95
# Numbers of a piece of bootstrap samples, 256 KiB.
PIECE = 2**15
PAIR = ["dataset", "split", "seed"]
COMPARED = ["against", "metric", "pairs", "difference", "low", "high", "wins", "losses", "p"]


# A function of the differences of two methods, paired: a series whose index has the levels
# ``dataset``, ``split`` and ``seed`` (and ``encoder``, where a method ran on several); none is
# missing, and there is at least one. It gives a p value. The first line of its docstring is what
# the notes of a table say of it.
TESTS: Registry[Callable[[pd.Series], float]] = Registry("statistical test")


def compare_methods(
    runs: pd.DataFrame, method: str, columns: Sequence[str], test: str = "signed_rank"
) -> pd.DataFrame:
    """Compare one method with every other one, paired by data set, split and seed.

    p values are corrected with Holm's method over all comparisons and metrics of the table. Runs of
    one split share their molecules: test and interval speak of training seeds on these splits, not
    of other splits or data sets. Of Wilcoxon's test five pairs can reach no p below 0.0625.

    Parameters
    ----------
    runs
        Finished runs: `PAIR`, ``encoder``, ``method`` and `columns`. Pairs in which a value is
        missing are left out. A method that ran on several encoders is compared within each.
    method
        The method that differences are taken of.
    columns
        Metrics.
    test
        Name of a registered test.

    Returns
    -------
    pandas.DataFrame
        One row per other method and metric: ``against``, ``metric``, ``pairs``, ``difference``
        (mean), ``low`` and ``high`` (its 95 % interval, see `mean_interval`; data sets and splits
        are the strata), ``wins`` and ``losses`` (pairs in which it is better or
        worse), ``p``, ``p_holm`` and, per data set, ``on_{dataset}`` (mean difference there).
    """
    several = runs.duplicated([*PAIR, "method"]).any()
    pair = [*PAIR, "encoder"] if several else PAIR
    wide = runs.pivot_table(index=pair, columns="method", values=list(columns), sort=False)
    datasets = runs["dataset"].unique()
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
            low, high = mean_interval(strata)
            better = -values if smaller_is_better(column) else values
            by_dataset = found.groupby(level="dataset").mean()
            rows.append(
                {
                    "against": other,
                    "metric": column,
                    "pairs": len(values),
                    "difference": values.mean() if len(values) else np.nan,
                    "low": low,
                    "high": high,
                    "wins": int((better > 0).sum()),
                    "losses": int((better < 0).sum()),
                    "p": p_value(test, found),
                }
                | {f"on_{name}": by_dataset.get(name, np.nan) for name in datasets}
            )
    table = pd.DataFrame(rows, columns=[*COMPARED, *(f"on_{name}" for name in datasets)])
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    return table


def p_value(test: str, differences: pd.Series) -> float:
    """P value of a registered test; NaN without differences.

    Raises
    ------
    DrugtailError
        If there is no such test, it fails, or it gives no p value.
    """
    if test not in TESTS.names():
        raise DrugtailError(f"test {test!r} is unknown; there are {', '.join(TESTS.names())}")
    if not len(differences):
        return float("nan")
    try:
        p = float(TESTS[test](differences))
    except Exception as error:
        if TESTS.is_packaged(test):
            raise
        raise DrugtailError(f"test {test!r}: {fault_in(TESTS[test], error)}") from error
    if not 0 <= p <= 1 and not np.isnan(p):
        raise DrugtailError(
            f"test {test!r} ({file_of(TESTS[test])}): gives {p}; a p value lies between 0 and 1"
        )
    return p


@TESTS.register("signed_rank")
def signed_rank(differences: pd.Series) -> float:
    """Wilcoxon's signed-rank test, two-sided.

    It is 1 if all differences are zero.
    """
    values = differences.to_numpy(dtype=float)
    return float(stats.wilcoxon(values).pvalue) if values.any() else 1.0


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p values for their number (Holm, 1979); NaN stays and does not count."""
    corrected = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def mean_interval(strata: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """95 % interval of the mean of all values, from their variances within each stratum.

    Student's t with the degrees of freedom of Satterthwaite (1946). A bootstrap of three to five
    values would hold the true mean in 72 to 88 of 100 cases instead of 95.

    Parameters
    ----------
    strata
        Values of every stratum, [n_s]; strata may have other means and other variances.

    Returns
    -------
    tuple of float
        The bounds. NaN without values, or if a stratum has a single one, which cannot vary.
    """
    if not strata or min(map(len, strata)) < 2:
        return float("nan"), float("nan")
    sizes = np.array([len(values) for values in strata])
    mean = float(np.concatenate(strata).mean())
    parts = sizes * np.array([values.var(ddof=1) for values in strata]) / sizes.sum() ** 2
    variance = parts.sum()
    if variance == 0:
        return mean, mean
    freedom = variance**2 / (parts**2 / (sizes - 1)).sum()
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
    return mean - half, mean + half


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
    classes = x.shape[1]
    if classes < 4:
        return (float("nan"),) * 3
    found, resampled = [], []
    for seed in zip(*known, strict=True):
        value = _correlations(np.ones((1, classes)), seed)[0]
        if not np.isnan(value):
            found.append(value)
            samples = _bootstrap_samples(classes)
            resampled.append(np.concatenate([_correlations(times, seed) for times in samples]))
    if not found:
        return (float("nan"),) * 3
    # A draw of equal values alone has no correlation and is left out.
    means = np.ma.masked_invalid(resampled).mean(axis=0).compressed()
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.mean(found)), float(low), float(high)


@lru_cache(maxsize=1)
def _bootstrap_samples(classes: int) -> list[NDArray[np.float64]]:
    """How often each class is drawn in each sample, in pieces [samples, C] that fit a cache."""
    drawn = np.random.default_rng(0).integers(classes, size=(RESAMPLES, classes))
    drawn += classes * np.arange(RESAMPLES)[:, None]
    times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
    return np.array_split(times.astype(float), -(-times.size // PIECE))


def _correlations(
    times: NDArray[np.float64], values: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Rank correlation of two values of classes in each sample, [samples], a third one held fixed.

    NaN where a value is constant in a sample, or where the third leaves nothing of it.

    Parameters
    ----------
    times
        How often each class stands in each sample, [samples, C].
    values
        Two or three of shape [C].
    """
    x, y, *fixed = (_centred_ranks(times, value) for value in values)
    xy = _pearson(times, x, y)
    if not fixed:
        return xy
    xz, yz = (_pearson(times, ranks, fixed[0]) for ranks in (x, y))
    left = (1 - xz**2) * (1 - yz**2)
    result = np.full(len(left), np.nan)
    # Rounding leaves 1e-16 of nothing.
    np.divide(xy - xz * yz, np.sqrt(left.clip(0)), out=result, where=left > 1e-9)
    return result.clip(-1, 1)


def _pearson(
    times: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Correlation of centred numbers in each sample; NaN where a sample is constant."""
    ab, aa, bb = (np.einsum("sc,sc,sc->s", times, p, q) for p, q in ((a, b), (a, a), (b, b)))
    norm = np.sqrt(aa * bb)
    result = np.full(len(norm), np.nan)
    np.divide(ab, norm, out=result, where=norm > 0)
    return result


def _centred_ranks(times: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each class in each sample, less the mean rank, [samples, C].

    Equal values share their mean rank. The order of classes is the same in all samples: one sort
    and sums do, where each sample would need a sort of its own.
    """
    if np.isnan(values).any():
        return np.full(times.shape, np.nan)
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place)
    first = np.searchsorted(place[order], np.arange(len(distinct)))
    equal = np.add.reduceat(times[:, order], first, axis=1)
    ranks = equal.cumsum(axis=1) - equal / 2 - times.sum(axis=1, keepdims=True) / 2
    centred: NDArray[np.float64] = ranks[:, place]
    return centred
