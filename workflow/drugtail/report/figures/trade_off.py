"""Tail recall that methods gain, against the head recall that they cost."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from drugtail.evaluation.derived_rows import is_derived
from drugtail.evaluation.head_and_tail import changes, undominated
from drugtail.report.drawing import empty
from drugtail.report.plots import FIGURES

REFERENCE = "cross_entropy"
# Rows that are named.
MOST = 9
PLAIN, CORRECTED, NAMED = "#86bbd8", "#f6ae7f", "#33658a"


@FIGURES.register("trade_off")
def trade_off(runs: pd.DataFrame) -> Figure:
    """Draw the change of head and of tail recall against `cross_entropy`, or the first method.

    A panel per data set and kind of split; means over splits of differences that are paired by
    split. Rows are named that no other row exceeds in both, the best sums first, with 95 %
    intervals (corrected resampled t).
    """
    finished = runs[runs["status"] == "finished"]
    methods = list(finished["method"].unique())
    if len(methods) < 2:
        return empty("A single method: nothing to compare it with.")
    reference = REFERENCE if REFERENCE in methods else methods[0]
    found = changes(finished, reference)
    if found.empty:
        return empty("No split tests both head and tail classes.")
    panels = list(found.groupby(["dataset", "split"], sort=False))
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(7.5, 4.2 * len(panels)), squeeze=False, layout="constrained"
    )
    for axis, (key, panel) in zip(axes[:, 0], panels, strict=True):
        dataset, split = key if isinstance(key, tuple) else (key, "")
        _draw(axis, panel, f"{dataset} ({split})", reference)
    return figure


def _draw(axis: Axes, panel: pd.DataFrame, title: str, reference: str) -> None:
    names = panel["method"].to_numpy()
    x, y = panel["head"].to_numpy(float), panel["tail"].to_numpy(float)
    corrected = np.asarray(is_derived(panel["method"]), dtype=bool)
    for chosen, colour, label in (
        (~corrected, PLAIN, "methods"), (corrected, CORRECTED, "with the prior corrected"),
    ):  # fmt: skip
        if chosen.any():
            axis.scatter(x[chosen], y[chosen], s=16, color=colour, label=label, zorder=2)
    for number, row in enumerate(undominated(x, y)[:MOST], start=1):
        ends = [
            [[max(0.0, middle - panel[f"{part}_low"].iloc[row])],
             [max(0.0, panel[f"{part}_high"].iloc[row] - middle)]]
            for middle, part in ((x[row], "head"), (y[row], "tail"))
        ]  # fmt: skip
        known = not np.isnan(ends).any()
        axis.errorbar(
            x[row], y[row], xerr=ends[0] if known else None, yerr=ends[1] if known else None,
            fmt="o", color=NAMED, markersize=4, elinewidth=0.7, zorder=3,
            label=f"{number}  {names[row]}",
        )  # fmt: skip
        axis.annotate(str(number), (x[row], y[row]), (4, 4), textcoords="offset points", size=8)
    axis.scatter([0], [0], marker="+", s=80, color="black", label=reference, zorder=4)
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=1)
    axis.axvline(0, color="0.8", linewidth=0.8, zorder=1)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("change of head recall, points")
    axis.set_ylabel("change of tail recall, points")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
