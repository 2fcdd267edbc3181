"""Training effort of the methods of a comparison."""

from __future__ import annotations

import pandas as pd

from drugtail.evaluation.derived_rows import is_derived

EFFORT = {"updates": "updates", "molecules_seen": "molecules seen"}
# Methods that are compared with each other.
GROUP = ["dataset", "split", "encoder"]
# Batches are equal to within a molecule, so that counts may differ a little.
ALIKE = 0.02


def effort_note(runs: pd.DataFrame) -> str | None:
    """Say which networks made more or fewer updates, or saw more molecules, than most.

    A molecule counts as often as it is computed: twice with two views or a sharpness-aware step.

    Parameters
    ----------
    runs
        Rows of runs.parquet; those of classical methods, which make no updates, do not count.

    Returns
    -------
    str or None
        A sentence; None if all were trained alike, or the runs do not say.
    """
    if not set(EFFORT) <= set(runs):
        return None
    finished = runs[(runs["status"] == "finished") & (runs["updates"].fillna(0) > 0)]
    # What is computed from stored predictions trained nothing.
    finished = finished[~is_derived(finished["method"])]
    if finished.empty:
        return None
    parts = []
    for column, named in EFFORT.items():
        mean = finished.groupby([*GROUP, "method"])[column].mean().astype(float)
        usual = mean.groupby(GROUP).transform(lambda values: values.mode().iloc[0])
        ratio = (mean / usual).groupby("method", sort=False).mean()
        others = ratio[(ratio - 1).abs() > ALIKE]
        if len(others):
            shown = ", ".join(f"{method} ×{value:.2g}" for method, value in others.items())
            parts.append(f"{named}: {shown}")
    if not parts:
        return None
    return f"Not all were trained alike, as multiples of most methods ({'; '.join(parts)})."
