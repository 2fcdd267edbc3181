"""Intervals, paired tests and verdicts, where the unit is the split.

Splits of one data set share most of their training molecules, so their figures are no independent
sample. The variance of a mean over J of them is that of the corrected resampled t (Nadeau, Bengio,
Machine Learning 2003, 52, 239): s² (1/J + n_test / n_train), with J - 1 degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from drugtail.config.split_name import parse_split
from drugtail.config.table import OF_A_RUN
from drugtail.evaluation.metrics import smaller_is_better
from drugtail.evaluation.molecules import (
    TESTED,
    differences_with_rounding,
    share_of_one,
    with_rounding,
)
from drugtail.evaluation.row_names import parse_row
from drugtail.runtime.errors import DrugtailError, file_of
from drugtail.runtime.registry import Registry

LEVEL = 0.95
# Region of practical equivalence of a metric that is a share: one point.
MARGIN = 0.01
# n_test / n_train where runs do not say it: `random` and `cv` cut 70, 10 and 20 of a hundred.
USUAL_RATIO = 2 / 7
ROW = ["dataset", "split", "encoder", "method"]
RATIO = ["n_train", "n_test"]
SIZES = [*RATIO, *TESTED]
COMPARED = [
    "dataset", "split", "method", "against", "metric", "splits", "difference", "low", "high",
    "wins", "losses", "p",
]  # fmt: skip
BETTER, WORSE, EQUAL, UNDECIDED = "better", "worse", "equal", "undecided"


# A function of the differences of two methods on the splits of one data set, float64 [J], J at
# least 1 and none missing, and of n_test / n_train. It gives a p value; NaN where it cannot. The
# first line of its docstring is what the notes of a table say of it.
TESTS: Registry[Callable[[NDArray[np.float64], float], float]] = Registry("statistical test")


def kind_of(split: str) -> str:
    """Return what kind a split is of, whatever its seed: of ``random-3-none`` ``random-none``."""
    return str(parse_split(split)._replace(seed=None, fold=None))


def named_splits(splits: pd.Series) -> str:
    """Name the splits of one kind that a mean is taken over: ``cv, 25 splits``, or the only one."""
    names = splits.unique()
    return str(names[0]) if len(names) == 1 else f"{kind_of(names[0])}, {len(names)} splits"


def kind_of_named(splits: str) -> str:
    """Return the kind of splits that `named_splits` named."""
    return kind_of(splits.split(",")[0])


def by_split(runs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the means over training seeds on each split.

    Parameters
    ----------
    runs
        Finished runs: `ROW`, `SIZES` (if known) and `columns`.
    columns
        Metrics.

    Returns
    -------
    pandas.DataFrame
        One row per data set, split, encoder and method: `ROW`, ``kind`` (see `kind_of`), `SIZES`
        as far as known, `columns` and ``ratio``, n_test / n_train.
    """
    sizes = [name for name in SIZES if name in runs]
    values = runs[[*ROW, *sizes, *columns]].astype(dict.fromkeys([*sizes, *columns], float))
    means = values.groupby(ROW, sort=False).mean().reset_index()
    known = set(RATIO) <= set(sizes)
    ratio = means["n_test"] / means["n_train"] if known else pd.Series(np.nan, means.index)
    means["ratio"] = ratio.fillna(USUAL_RATIO)
    means["kind"] = means["split"].map(kind_of)
    return means


def on_splits(
    means: pd.DataFrame, column: str, *, differences: bool = False
) -> NDArray[np.float64]:
    """Return a metric of one method on the splits of one data set, [J], as far as it is defined.

    Parameters
    ----------
    means
        Rows of `by_split`.
    column
        Metric. Figures that vary less than their rounding to whole molecules hides are spread
        (`drugtail.evaluation.molecules.with_rounding`).
    differences
        Whether they are differences to another method: where all are zero nothing is spread.
    """
    values = means[column].dropna().to_numpy(dtype=float)
    spread = differences_with_rounding if differences else with_rounding
    return spread(values, share_of_one(means, column))


def mean_interval(values: NDArray[np.float64], ratio: float) -> tuple[float, float]:
    """95 % interval of a mean over splits, which holds for splits that were not drawn.

    Parameters
    ----------
    values
        A figure on each split, [J].
    ratio
        n_test / n_train.

    Returns
    -------
    tuple of float
        The bounds. NaN for a single split, which says nothing of others.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    mean, error = float(values.mean()), standard_error(values, ratio)
    half = t_quantile(len(values) - 1) * error
    return mean - half, mean + half


def t_quantile(freedom: float) -> float:
    """Return how many standard errors half a 95 % interval is, by Student's t."""
    # scipy.stats.t calls the same function, and takes most of a second to import.
    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def standard_error(values: NDArray[np.float64], ratio: float) -> float:
    """Return the standard error of a mean over splits, [J], J at least 2."""
    return float(values.std(ddof=1) * np.sqrt(1 / len(values) + ratio))


def compare_methods(
    runs: pd.DataFrame, method: str, columns: Sequence[str], test: str = "corrected_t"
) -> pd.DataFrame:
    """Compare one method with every other one on each data set and kind of split, by splits.

    Training seeds of a split are averaged first, and differences over encoders, see
    `paired_splits`. p values are corrected with Holm's method over all rows of the table.

    Parameters
    ----------
    runs
        Finished runs: `ROW`, ``seed``, `SIZES` (if known) and `columns`. Splits on which a value is
        missing are left out.
    method
        The method that differences are taken of.
    columns
        Metrics.
    test
        Name of a registered test.

    Returns
    -------
    pandas.DataFrame
        One row per data set, kind of split, other method and metric: ``split`` (see
        `named_splits`), ``method``, ``against``, ``metric``, ``splits`` (their number),
        ``difference`` (mean), ``low`` and ``high`` (its 95 % interval, see `mean_interval`),
        ``wins`` and ``losses`` (splits on which it is better or worse), ``p``, ``p_holm`` and
        ``verdict`` (see `verdict_on`).
    """
    others = [name for name in runs["method"].unique() if name != method]
    pairs = [(method, other, column) for other in others for column in columns]
    return compare_pairs(runs, pairs, test)


def compare_pairs(
    runs: pd.DataFrame, pairs: Sequence[tuple[str, str, str]], test: str = "corrected_t"
) -> pd.DataFrame:
    """Compare pairs of methods on each data set and kind of split, as `compare_methods` does.

    Parameters
    ----------
    runs
        Finished runs.
    pairs
        Method, the one that it is compared with, and metric.
    test
        Name of a registered test.

    Returns
    -------
    pandas.DataFrame
        As of `compare_methods`, with ``method`` besides; a row without splits where one of the two
        is missing.
    """
    rows = []
    means = by_split(runs, list(dict.fromkeys(column for *_, column in pairs)))
    for (dataset, _), group in means.groupby(["dataset", "kind"], sort=False):
        for method, other, column in pairs:
            found, ratio = paired_splits(group, method, other, column)
            low, high = mean_interval(found, ratio)
            better = -found if smaller_is_better(column) else found
            rows.append(
                {
                    "dataset": dataset,
                    "split": named_splits(group["split"]),
                    "method": method,
                    "against": other,
                    "metric": column,
                    "splits": len(found),
                    "difference": found.mean() if len(found) else np.nan,
                    "low": low,
                    "high": high,
                    "wins": int((better > 0).sum()),
                    "losses": int((better < 0).sum()),
                    "p": p_value(test, found, ratio),
                }
            )
    table = pd.DataFrame(rows, columns=COMPARED)
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    table["verdict"] = [verdict_on(row) for row in table.to_dict("records")]
    return table


def paired_splits(
    group: pd.DataFrame, method: str, other: str, column: str
) -> tuple[NDArray[np.float64], float]:
    """Return the differences of two methods on the splits of one data set and kind, [J].

    Methods are compared on each encoder that both ran on, and these differences averaged; without
    such an encoder, as a forest and a network, each is averaged over its own. A split that lacks
    one of the encoders is left out. Differences that vary less than rounding to whole molecules
    hides are spread, as `on_splits` does. The second value is n_test / n_train.

    Parameters
    ----------
    group
        Rows of `by_split` of that data set and kind.
    method, other
        The first less the second: methods, or a method on one encoder (``METHOD on ENCODER``).
    column
        Metric.
    """
    one, two = (_rows_named(group, name) for name in (method, other))
    first, second = (rows.pivot(index="split", columns="encoder", values=column)
                     for rows in (one, two))  # fmt: skip
    if set(first) & set(second):
        found = _over_encoders(first - second)
    else:
        found = (_over_encoders(first) - _over_encoders(second)).dropna()
    values = differences_with_rounding(found.to_numpy(dtype=float), share_of_one(group, column))
    return values, float(group["ratio"].mean())


def _over_encoders(wide: pd.DataFrame) -> pd.Series:
    """Mean over encoders on each split that has all of them; an encoder without values is none."""
    mean: pd.Series = wide.dropna(axis=1, how="all").dropna().mean(axis=1)
    return mean


def _rows_named(group: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of a method on all its encoders, or on the one that is named beside it."""
    rows = group[group["method"] == name]
    if len(rows):
        return rows
    method, encoder = parse_row(name)
    return group[(group["method"] == method) & (group["encoder"] == encoder)]


def verdict_on(row: Mapping[Any, Any]) -> str:
    """Say what a difference and its interval decide.

    ``equal``: the interval lies within a point of zero (two one-sided tests, at 2.5 %); of what is
    no share, such as seconds, nothing is. ``better`` or ``worse``: p, corrected, is below 5 %.
    Otherwise ``undecided``. A method that is better by less than a point for sure is equal.
    """
    is_share = row["metric"] not in OF_A_RUN
    if is_share and row["low"] >= -MARGIN and row["high"] <= MARGIN:
        return EQUAL
    if not row["p_holm"] < 1 - LEVEL:
        return UNDECIDED
    gained = row["difference"] > 0
    return BETTER if gained != smaller_is_better(row["metric"]) else WORSE


def p_value(test: str, differences: NDArray[np.float64], ratio: float = USUAL_RATIO) -> float:
    """P value of a registered test; NaN without differences.

    Parameters
    ----------
    test
        Its name.
    differences
        Of two methods on the splits of a data set, [J].
    ratio
        n_test / n_train.

    Raises
    ------
    DrugtailError
        If there is no such test, it fails, or it gives no p value.
    """
    if test not in TESTS.names():
        raise DrugtailError(f"test {test!r} is unknown; there are {', '.join(TESTS.names())}")
    if not len(differences):
        return float("nan")
    with TESTS.blamed(test):
        p = float(TESTS[test](differences, ratio))
    if not 0 <= p <= 1 and not np.isnan(p):
        raise DrugtailError(
            f"test {test!r} ({file_of(TESTS[test])}): gives {p}; a p value lies between 0 and 1"
        )
    return p


@TESTS.register("corrected_t")
def corrected_t(differences: NDArray[np.float64], ratio: float) -> float:
    """Corrected resampled t test (Nadeau, Bengio, 2003), two-sided.

    It is 1 if all differences are zero, and not defined for a single split.
    """
    if len(differences) < 2:
        return float("nan")
    error = standard_error(differences, ratio)
    if error == 0:
        return 1.0 if differences[0] == 0 else 0.0
    return float(2 * stdtr(len(differences) - 1, -abs(differences.mean()) / error))


@TESTS.register("signed_rank")
def signed_rank(differences: NDArray[np.float64], ratio: float) -> float:
    """Wilcoxon's signed-rank test, two-sided, which takes overlapping splits for independent ones.

    It is 1 if all differences are zero.
    """
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p values for their number (Holm, 1979); NaN stays and does not count.

    statsmodels' `multipletests` gives the same, but collects garbage in every call, a third of a
    second for some microseconds of arithmetic.
    """
    # NaN comes last.
    order = np.argsort(p)
    factors = np.count_nonzero(~np.isnan(p)) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * factors).clip(max=1)
    return corrected
