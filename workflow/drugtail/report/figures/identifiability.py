"""Recall of each class against its size and its separability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from drugtail.evaluation.identifiability import identifiability
from drugtail.report.drawing import GROUP_COLOURS, RECALLS, empty, name_groups, short
from drugtail.report.plots import FIGURES


@FIGURES.register("identifiability")
def identifiability_map(classes: pd.DataFrame, history: pd.DataFrame) -> Figure:
    """Draw test recall of every class against its size and against its separability.

    One row per data set and split of at least four classes, for the first method that re-clusters
    (or, without one, the first network); mean over seeds, with Spearman's rank correlation.
    """
    table = identifiability(classes, history)
    table = table[table["valid_separability_rho"].notna()]
    if len(table):
        moving = history.loc[history["moment"] == "refresh", "method"]
        first = moving.iloc[0] if len(moving) else table["method"].iloc[0]
        table = table[table["method"] == first]

    if table.empty:
        return empty("No data set of this benchmark has four classes and a trained network.")
    figure, axes = plt.subplots(
        len(table), 2, figsize=(10.4, 3.3 * len(table)), squeeze=False, layout="constrained"
    )
    for row_axes, row in zip(axes, table.to_dict("records"), strict=True):
        points = _class_points(classes, history, row)
        for axis, name, title in (
            (row_axes[0], "n_train", "training molecules of the class"),
            (row_axes[1], "valid_separability", "separability (validation)"),
        ):
            for group, colour in GROUP_COLOURS.items():
                chosen = points[points["group"] == group]
                axis.scatter(chosen[name], chosen["recall"], color=colour, s=22)
            known = points.dropna(subset=[name, "recall"])
            _name_points(axis, known[name], known["recall"], short(known["label_name"]))
            rho, low, high = (row[f"{name}_{kind}"] for kind in ("rho", "low", "high"))
            axis.set_title(f"rank correlation {rho:+.2f} [{low:+.2f}, {high:+.2f}]")
            axis.set_xlabel(title)
            axis.set_ylabel("test recall")
            axis.set_ylim(*RECALLS)
        row_axes[0].set_xscale("log")
        row_axes[0].set_title(
            f"{row['dataset']} {row['split']} {row['encoder']} {row['method']}\n"
            + row_axes[0].get_title()
        )
    name_groups(figure)
    return figure


def _name_points(
    axis: Axes, x: pd.Series[float], y: pd.Series[float], names: Sequence[str]
) -> None:
    """Write names beside the axis, one below the other as the points are, joined to them by lines.

    Beside the points they would hide each other.
    """
    order = np.argsort(-y.to_numpy(), kind="stable")
    places = spaced(y.to_numpy()[order], *RECALLS)
    for i, place in zip(order, places, strict=True):
        axis.annotate(
            names[i], (x.iloc[i], y.iloc[i]), xytext=(1.03, (place - RECALLS[0]) / np.ptp(RECALLS)),
            textcoords="axes fraction", fontsize=6, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.3, "color": "0.5", "shrinkB": 2},
        )  # fmt: skip


def spaced(values: NDArray[Any], low: float, high: float, gap: float = 0.045) -> NDArray[Any]:
    """Falling numbers moved as little as it takes to lie `gap` apart, and between two ends.

    With more of them than there is room for, the gap is smaller.
    """
    gap = min(gap, (high - low) / max(len(values) - 1, 1))
    steps = gap * np.arange(len(values))
    # Each one below those before it, then all pushed up that have fallen out.
    lowered = np.minimum.accumulate(np.minimum(values, high) + steps) - steps
    least = low + steps[::-1]
    placed: NDArray[Any] = np.maximum(lowered, least)
    return placed


def _class_points(recall: pd.DataFrame, measured: pd.DataFrame, row: Any) -> pd.DataFrame:
    """One row per class, mean over seeds."""
    keys = ["dataset", "split", "encoder", "method"]

    def of_row(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[(frame[keys] == [row[key] for key in keys]).all(axis=1)]

    mean = of_row(recall[recall["subset"] == "test"]).groupby("label").agg(
        recall=("recall", "mean"), n_train=("n_train", "first"), group=("group", "first"),
        label_name=("label_name", "first"),
    )  # fmt: skip
    chosen = of_row(measured[measured["moment"] == "chosen"])
    return mean.join(chosen.groupby("label")["valid_separability"].mean())
