"""Rank correlation over classes, with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drugtail.evaluation.statistics import LEVEL

RESAMPLES = 10_000
# Numbers of a piece of bootstrap samples, 256 KiB.
PIECE = 2**15


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
    """Yield how often each class is drawn in each sample, in pieces [samples, C]."""
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
