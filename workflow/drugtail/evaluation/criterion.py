"""Judging methods by what was wanted of them before they were trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from drugtail.config.table import Criterion
from drugtail.evaluation.head_and_tail import HEAD, TAIL
from drugtail.evaluation.statistics import (
    BETTER,
    by_split,
    compare_pairs,
    holm,
    kind_of,
    verdict_on,
)

METRIC = "test_balanced_accuracy"
# Points: what sums of shares may be off.
ROUNDING = 1e-6
JUDGED = [
    "candidate", "dataset", "kind", "split", "splits", "best", "difference", "low", "high", "p",
    "p_holm", "verdict", "tail", "head", "reached",
]  # fmt: skip


def judge(finished: pd.DataFrame, criterion: Criterion, classes: Mapping[Any, int]) -> pd.DataFrame:
    """Say on which data sets the candidates reach a criterion.

    Parameters
    ----------
    finished
        Rows of ``runs.parquet`` of finished runs.
    criterion
        What is wanted.
    classes
        Data set -> number of its classes.

    Returns
    -------
    pandas.DataFrame
        One row per candidate, data set and kind of split: ``best``, the baseline with the highest
        mean balanced accuracy there; ``difference`` of the candidate to it with ``low`` and
        ``high`` (95 % interval); ``p``, the largest of the p values against all baselines (the
        test of an intersection of hypotheses, Berger, Technometrics 1982, 24, 295), and ``p_holm``,
        corrected over all rows; ``verdict``; differences of ``tail`` and ``head`` recall to the
        best; and ``reached``. What is missing is not reached.
    """
    rows = []
    kinds = finished["split"].map(kind_of)
    for (dataset, kind), runs in finished.groupby(["dataset", kinds], sort=False):
        best = _best_baseline(runs, criterion)
        rows += [
            {"candidate": candidate, "dataset": dataset, "kind": kind, "best": best}
            | _against(runs, candidate, best, criterion.baselines)
            for candidate in criterion.candidates
        ]
    if not rows:
        return pd.DataFrame(columns=JUDGED)
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    table["verdict"] = [verdict_on(row) for row in table.to_dict("records")]
    table["reached"] = [
        _reached(row, criterion, classes[row["dataset"]]) for row in table.to_dict("records")
    ]
    return table[JUDGED]


def _best_baseline(runs: pd.DataFrame, criterion: Criterion) -> str | None:
    """Return the baseline with the highest mean over splits; None if there is none."""
    means = by_split(runs, [METRIC]).groupby("method", sort=False)[METRIC].mean()
    ours = means[means.index.isin(criterion.baselines)].dropna()
    return str(ours.idxmax()) if len(ours) else None


def _against(
    runs: pd.DataFrame, candidate: str, best: str | None, baselines: Sequence[str]
) -> dict[str, Any]:
    """Compare a candidate with all baselines on one data set, and say how it stands to the best."""
    pairs = [(candidate, name, metric) for name in baselines for metric in (METRIC, HEAD, TAIL)]
    found = compare_pairs(runs, pairs)
    main = found["metric"] == METRIC
    to_best = found[found["against"] == (best or baselines[0])].set_index("metric")
    return {
        **to_best.loc[METRIC, ["split", "splits", "difference", "low", "high"]],
        "metric": METRIC,
        # Without one of the baselines nothing is beaten.
        "p": found.loc[main, "p"].max(skipna=False),
        "tail": to_best.loc[TAIL, "difference"],
        "head": to_best.loc[HEAD, "difference"],
    }


def _reached(row: Mapping[Any, Any], criterion: Criterion, classes: int) -> bool:
    """Return whether a row of a data set reaches a criterion; what is missing does not."""
    loss = criterion.head_loss_two_classes if classes == 2 else criterion.head_loss
    return bool(
        row["verdict"] == BETTER
        and 100 * row["tail"] >= criterion.tail_gain - ROUNDING
        and 100 * row["head"] >= -loss - ROUNDING
    )
