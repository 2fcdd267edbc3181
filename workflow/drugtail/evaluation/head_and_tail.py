"""Head recall that methods cost and tail recall that they gain, against one of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.evaluation.statistics import compare_methods

HEAD, TAIL = "test_balanced_accuracy_head", "test_balanced_accuracy_tail"
SHORT = {HEAD: "head", TAIL: "tail"}


def changes(finished: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Return the changes of head and of tail recall, each method less the reference.

    Parameters
    ----------
    finished
        Rows of ``runs.parquet`` of finished runs.
    reference
        The method that differences are taken to. Where several encoders ran, see
        `drugtail.evaluation.statistics.paired_splits`.

    Returns
    -------
    pandas.DataFrame
        One row per data set, kind of split and other method: ``dataset``, ``split``, ``method``,
        and in points ``head``, ``head_low``, ``head_high``, ``tail``, ``tail_low``, ``tail_high``:
        means over splits and 95 % intervals (corrected resampled t; missing for a single split).
        Data sets without a tail have none.
    """
    found = compare_methods(finished, reference, [HEAD, TAIL])
    keys = ["dataset", "split", "against"]
    parts = []
    for metric, rows in found.groupby("metric", sort=False):
        name = SHORT[str(metric)]
        # The reference less a method: the sign is turned.
        turned = {
            name: -100 * rows["difference"],
            f"{name}_low": -100 * rows["high"],
            f"{name}_high": -100 * rows["low"],
        }
        parts.append(rows[keys].assign(**turned).set_index(keys))
    if not parts:
        return pd.DataFrame(columns=["dataset", "split", "method", "head", "tail"])
    wide = pd.concat(parts, axis=1).reset_index().rename(columns={"against": "method"})
    return wide.dropna(subset=["head", "tail"]).reset_index(drop=True)


def undominated(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[int]:
    """Return the rows that no other row exceeds in both, the largest sums first."""
    exceeded = ((x[None, :] > x[:, None]) & (y[None, :] > y[:, None])).any(axis=1)
    rows = np.flatnonzero(~exceeded)
    return list(rows[np.argsort(-(x + y)[rows], kind="stable")])
