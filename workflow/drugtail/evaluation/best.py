"""The best method of a benchmark, chosen on validation molecules alone."""

from __future__ import annotations

import pandas as pd

from drugtail.evaluation.derived_rows import GHOST, uncorrected_name
from drugtail.runtime.names import TUNED_SUFFIX

SCORE = "valid_balanced_accuracy"
# Scores that differ by less are equal but for rounding.
TIED = 1e-9
NAMES = ["encoder", "method", "settings"]


def by_validation(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the methods of one data set, the best on validation molecules first.

    Rows with chosen thresholds (``+ghost``) do not take part: the thresholds were chosen for the
    score that methods are compared by here. Neither do methods with a gap; that of a corrected row
    is its method's.

    Parameters
    ----------
    runs
        Rows of ``runs.parquet`` of one data set.

    Returns
    -------
    pandas.DataFrame
        `NAMES` and ``score``, the mean balanced accuracy over all splits and seeds, as a share.
        Where scores are equal, the order is that of `runs`.
    """
    names = runs["method"].astype(str).str.removesuffix(TUNED_SUFFIX)
    runs = runs[~names.str.endswith(GHOST)]
    whole = runs.groupby(NAMES, sort=False).agg(
        score=(SCORE, "mean"), finished=("status", lambda states: (states == "finished").all())
    )
    # A corrected row has no gaps of its own: where the method was not trained, there is none.
    bases = [(e, uncorrected_name(str(m))[0], s) for e, m, s in whole.index]
    without_gaps = [bool(whole["finished"].get(names, False)) for names in bases]
    whole = whole[whole["finished"].to_numpy(dtype=bool) & without_gaps].reset_index()
    # Equal scores are made the same number, so that rounding does not choose among them.
    order = (whole["score"] / TIED).round().sort_values(ascending=False, kind="stable").index
    return whole.loc[order, [*NAMES, "score"]].reset_index(drop=True)
