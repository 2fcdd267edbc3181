"""Numbers of test molecules, and the variance that rounding figures to them hides."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

GROUPS = ("head", "middle", "tail")
TESTED = [f"n_test_{group}" for group in GROUPS]
# Metrics of test molecules that move by whole molecules, with the group of classes they are of.
SHARE = re.compile(
    "test_(?:accuracy|balanced_accuracy|worst_class_recall|geometric_mean|harmonic_mean)"
    f"(?:_({'|'.join(GROUPS)}))?"
)


def with_group_sizes(runs: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Add how many test molecules of head, middle and tail a split has.

    Parameters
    ----------
    runs, classes
        Rows of ``runs.parquet`` and of ``class_metrics.parquet``.

    Returns
    -------
    pandas.DataFrame
        The runs, with columns `TESTED`.
    """
    if classes.empty:
        return runs
    keys = ["dataset", "split"]
    tested = classes[classes["subset"] == "test"].drop_duplicates([*keys, "label"])
    sizes = tested.pivot_table(index=keys, columns="group", values="n", aggfunc="sum")
    named = sizes.reindex(columns=[*GROUPS]).fillna(0).astype("int64")
    named.columns = pd.Index(TESTED)
    runs = runs.drop(columns=TESTED, errors="ignore")
    return runs.merge(named.reset_index(), on=keys, how="left")


def share_of_one(group: pd.DataFrame, column: str) -> float:
    """Return what one molecule adds to a metric that is a share of molecules, else 0.

    Parameters
    ----------
    group
        Rows of `drugtail.evaluation.statistics.by_split`.
    column
        Metric. A mean over classes moves by at least so much where they are of equal size.
    """
    match = SHARE.fullmatch(column)
    size = f"n_test_{match[1]}" if match and match[1] else "n_test"
    if match is None or size not in group:
        return 0.0
    n = group[size].dropna()
    return float((1 / n[n > 0]).mean()) if (n > 0).any() else 0.0


def with_rounding(values: NDArray[np.float64], one: float) -> NDArray[np.float64]:
    """Spread figures of splits that vary less than their rounding to whole molecules hides.

    One molecule more on each of five splits looks like a difference without any variance. Rounding
    to steps of `one` leaves a variance of one²/12 open, so that figures never vary by less.

    Parameters
    ----------
    values
        A figure on each split, [J]; their mean is kept.
    one
        What one molecule adds, as `share_of_one` gives it; 0 leaves them as they are.
    """
    number = len(values)
    least = one / np.sqrt(12)
    if number < 2 or values.std(ddof=1) >= least:
        return values
    mean, spread = values.mean(), values - values.mean()
    # What does not vary at all is spread evenly, in the order of the splits.
    if np.ptp(values) <= 1e-12:
        spread = np.arange(number) - (number - 1) / 2
    widened: NDArray[np.float64] = mean + spread * (least / spread.std(ddof=1))
    return widened


def differences_with_rounding(values: NDArray[np.float64], one: float) -> NDArray[np.float64]:
    """Spread differences of two methods on splits; where all are zero nothing differs at all.

    Arguments as of `with_rounding`.
    """
    return with_rounding(values, one) if values.any() else values
