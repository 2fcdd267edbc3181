"""The best row of each data set, and those that are not told apart from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.evaluation.metrics import smaller_is_better
from drugtail.evaluation.molecules import differences_with_rounding, share_of_one
from drugtail.evaluation.statistics import (
    LEVEL,
    by_split,
    corrected_t,
    holm,
    kind_of_named,
)

BEST, TIED = "best", "tied"


class Row(NamedTuple):
    """A row of a table, and one of its metrics."""

    dataset: str
    kind: str
    encoder: str
    method: str
    metric: str


def leaders(runs: pd.DataFrame, columns: Sequence[str]) -> dict[Row, str]:
    """Say for each data set, kind of split and metric which row is best, and which are not worse.

    Parameters
    ----------
    runs
        Rows of ``runs.parquet`` of finished runs.
    columns
        Metrics.

    Returns
    -------
    dict
        `Row` -> `BEST`, the best mean over splits, or `TIED`: p of the corrected resampled t
        against the best is 5 % or more after Holm's correction over all rows of that data set, kind
        of split and metric. On a single split nothing is told apart, and there are no marks; rows
        that lack a split of the best have none, either.
    """
    marks: dict[Row, str] = {}
    means = by_split(runs, columns)
    for (dataset, kind), group in means.groupby(["dataset", "kind"], sort=False):
        for column in columns:
            wide = group.pivot(index="split", columns=["encoder", "method"], values=column)
            whole = wide.dropna(axis=1)
            if len(wide) < 2 or whole.empty:
                continue
            one, ratio = share_of_one(group, column), float(group["ratio"].mean())
            found = _marked(whole.to_numpy(dtype=float), column, one, ratio)
            for (encoder, method), mark in zip(whole.columns.to_numpy(), found, strict=True):
                if mark is not None:
                    marks[Row(str(dataset), str(kind), str(encoder), str(method), column)] = mark
    return marks


def _marked(values: NDArray[np.float64], column: str, one: float, ratio: float) -> list[str | None]:
    """Return the marks of rows by their figures on splits, [J, rows]."""
    means = values.mean(axis=0)
    best = int(means.argmin() if smaller_is_better(column) else means.argmax())
    differences = (values - values[:, [best]]).T
    spread = (differences_with_rounding(row, one) for row in differences)
    p = np.array([corrected_t(row, ratio) for row in spread], dtype=float)
    # The best is not compared with itself.
    p[best] = np.nan
    worse = holm(p) < 1 - LEVEL
    return [BEST if place == best else None if lost else TIED for place, lost in enumerate(worse)]


def row_of(summary: Mapping[Any, Any], metric: str) -> Row:
    """Return the key of a row of `drugtail.report.means.summarise` and a metric."""
    kind = kind_of_named(summary["split"])
    return Row(summary["dataset"], kind, summary["encoder"], summary["method"], metric)
