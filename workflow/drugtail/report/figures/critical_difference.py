"""Mean ranks of methods, those joined that a test does not tell apart."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from drugtail.evaluation.statistics import by_split
from drugtail.report.drawing import empty
from drugtail.report.plots import FIGURES

METRIC = "test_balanced_accuracy"
# Rows that can be read.
MOST = 15
# Data sets, or splits of the only one, below which Friedman's test has nothing to go by.
FEWEST = 3


@FIGURES.register("critical_difference")
def critical_difference(runs: pd.DataFrame) -> Figure:
    """Draw mean ranks by balanced accuracy on test molecules (Demšar, JMLR 2006).

    Data sets are what ranks are averaged over. Of fewer than three it is their splits, which share
    molecules: then it describes these splits and infers nothing. Rows are joined where Nemenyi's
    test after Friedman's does not tell them apart at 5 %. Of many rows the `MOST` best are shown,
    ranked among themselves.
    """
    import scikit_posthocs

    table, unit = _ranked_over(runs[runs["status"] == "finished"])
    if len(table) < FEWEST or table.shape[1] < 2:
        return empty(f"Fewer than {FEWEST} data sets or splits, or a single method: no ranks.")
    best = table.rank(axis=1, ascending=False).mean().nsmallest(MOST).index
    chosen = table[best]
    ranks = chosen.rank(axis=1, ascending=False).mean()
    differences = scikit_posthocs.posthoc_nemenyi_friedman(chosen.to_numpy())
    figure, axis = plt.subplots(figsize=(8, 1.2 + 0.22 * len(best)), layout="constrained")
    scikit_posthocs.critical_difference_diagram(
        ranks,
        differences.set_axis(best, axis=0).set_axis(best, axis=1),
        ax=axis,
        label_fmt_left="{label} ({rank:.1f})",
        label_fmt_right="({rank:.1f}) {label}",
    )
    axis.set_title(f"mean rank over {len(table)} {unit}", fontsize=9)
    return figure


def _ranked_over(finished: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Figures with a row per data set, or per split, a column per method that all of them have."""
    if finished.empty:
        return pd.DataFrame(), ""
    several = finished.groupby("method")["encoder"].nunique().max() > 1
    means = by_split(finished, [METRIC])
    if several:
        means["method"] = means["method"] + " (" + means["encoder"] + ")"
    by_set = means.pivot_table(index=["dataset", "kind"], columns="method", values=METRIC)
    if len(by_set) >= FEWEST:
        return by_set.dropna(axis=1), "data sets"
    by_one = means.pivot_table(index=["dataset", "split"], columns="method", values=METRIC)
    return by_one.dropna(axis=1), "splits"
