"""Test recall of each class against its size."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from drugtail.evaluation.class_recalls import class_recalls
from drugtail.report.drawing import MOST_COLUMNS, panels, short
from drugtail.report.plots import FIGURES
from drugtail.runtime.errors import DrugtailError

# As many lines as there are colours to tell them apart.
MOST_LINES = 10
# Inches of a line of a legend below the panels.
LEGEND_LINE = 0.2


@FIGURES.register("recall_by_class_size")
def recall_by_class_size(classes: pd.DataFrame) -> Figure:
    """Draw test recall of every class against its training size, over the splits of a kind.

    One panel per data set and kind of split. Up to `MOST_LINES` methods are lines, with Wilson's 95
    % intervals as bars; more are the rows of a map, the best mean recall first.
    """
    if classes.empty:
        raise DrugtailError("there is no finished run; there is nothing to draw")
    classes = classes[classes["subset"] == "test"]
    if classes.groupby("method")["encoder"].nunique().max() > 1:
        # One encoder's recall is no other seed of another's.
        classes = classes.assign(method=classes["method"] + " (" + classes["encoder"] + ")")
    methods = list(classes["method"].unique())
    by_split = class_recalls(classes).groupby(["dataset", "split"], sort=False)
    found = [(f"{dataset} {split}", rows) for (dataset, split), rows in by_split]
    if len(methods) > MOST_LINES:
        return _recall_map(found)
    return _recall_lines(found, methods)


def _recall_lines(shown: Sequence[tuple[str, pd.DataFrame]], methods: Sequence[str]) -> Figure:
    figure, axes = panels(len(shown), height=3.2)
    colours = plt.get_cmap("tab10")
    for axis, (name, rows) in zip(axes, shown, strict=True):
        for number, method in enumerate(methods):
            chosen = rows[rows["method"] == method].dropna(subset="recall").sort_values("n_train")
            # A small shift keeps the bars of several methods apart.
            x = chosen["n_train"] * 1.03 ** (number - len(methods) / 2)
            ends = [chosen["recall"] - chosen["low"], chosen["high"] - chosen["recall"]]
            axis.errorbar(
                x, chosen["recall"], np.clip(ends, 0, None), label=method, color=colours(number),
                marker="o", markersize=3, linewidth=0.9, elinewidth=0.6, alpha=0.85,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_ylim(-0.03, 1.03)
        axis.set_xlabel("training molecules of the class")
        axis.set_ylabel("test recall")
        axis.set_title(name)
    handles, labels = axes[0].get_legend_handles_labels()
    # As wide as the panels, and no taller at their cost.
    columns = min(len(labels), 2 * min(len(shown), MOST_COLUMNS))
    lines = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * lines)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def _recall_map(shown: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """A row per method, a column per class from the largest to the smallest; recall in percent."""
    tables = []
    for name, rows in shown:
        classes = rows.groupby("label")[["n_train", "label_name", "group"]].first()
        classes = classes.sort_values("n_train", ascending=False, kind="stable")
        recall = rows.groupby(["method", "label"], sort=False)["recall"].mean().unstack()
        best = recall.mean(axis=1).sort_values(ascending=False, kind="stable")
        tables.append((name, classes, recall.loc[best.index, classes.index], best))
    heights = [1.5 + 0.17 * len(recall) for _, _, recall, _ in tables]
    width = 3.0 + 0.5 * max(len(classes) for _, classes, _, _ in tables)
    figure, axes = plt.subplots(
        len(tables), 1, figsize=(width, sum(heights)), height_ratios=heights, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, (name, classes, recall, best) in zip(axes.flat, tables, strict=True):
        axis.imshow(recall, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        for (row, column), value in np.ndenumerate(recall.to_numpy()):
            if np.isfinite(value):
                axis.text(
                    column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=6,
                    color="white" if value < 0.6 else "black",
                )  # fmt: skip
        groups = classes["group"].to_numpy()
        for edge in np.flatnonzero(groups[1:] != groups[:-1]):
            axis.axvline(edge + 0.5, color="white", linewidth=2.5)
        sized = [f"{label} ({n:,.0f})" for label, n in
                 zip(short(classes["label_name"]), classes["n_train"], strict=True)]  # fmt: skip
        axis.set_xticks(range(len(sized)), sized, rotation=60, ha="right", fontsize=6)
        scored = [f"{method}  {100 * mean:.1f}" for method, mean in best.items()]
        axis.set_yticks(range(len(scored)), scored, fontsize=6.5)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(f"{name}: recall on test molecules, mean over classes beside the method")
    return figure
