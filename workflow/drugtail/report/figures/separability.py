"""Recall of each class against its size and against its silhouette."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from drugtail.evaluation.recall_by_separability import (
    SILHOUETTES,
    has_tail,
    measured_classes,
    sizes_vary,
)
from drugtail.report.drawing import GROUP_COLOURS, RECALLS, empty, name_groups
from drugtail.report.plots import FIGURES
from drugtail.runtime.errors import DrugtailError

# Classes below which a line says nothing.
FEWEST = 4


@FIGURES.register("separability")
def separability(classes: pd.DataFrame) -> Figure:
    """Draw test recall of every class against its size, and against its silhouette.

    One row per data set and kind of split with at least four classes, for the first method.
    """
    if len(classes) and not set(SILHOUETTES) <= set(classes):
        raise DrugtailError("has no silhouettes; `drugtail collect` adds them: --separability")
    tested = classes[classes["subset"] == "test"] if len(classes) else classes
    shown = _shown(tested)
    if not shown:
        return empty(f"No data set of this benchmark has {FEWEST} classes and a finished run.")
    figure, axes = plt.subplots(
        len(shown), 2, figsize=(8.4, 2.9 * len(shown)), squeeze=False, layout="constrained"
    )
    for (by_size, by_silhouette), (name, found) in zip(axes, shown.items(), strict=True):
        size = np.log2(found["n_train"])
        slope = np.polyfit(size, found["recall"], 1)[0] if sizes_vary(found) else 0.0
        _points(by_size, found, "n_train", found["recall"])
        by_size.set_ylim(*RECALLS)
        _scale_sizes(by_size, found)
        by_size.set(xlabel="training molecules of the class", ylabel="test recall", title=name)
        _points(by_silhouette, found, "silhouette", found["recall"] - slope * (size - size.mean()))
        by_silhouette.set(xlabel="silhouette, before training", ylabel="recall at mean size")
    name_groups(figure)
    return figure


def _shown(tested: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Title -> classes of a data set: of the first method, those that have a silhouette."""
    if tested.empty:
        return {}
    first = tested[tested["method"] == tested["method"].iloc[0]]
    first = first[first["encoder"] == first["encoder"].iloc[0]]
    return {
        f"{dataset} {split} {method}": found
        for (dataset, split, method), found in measured_classes(first).groupby(
            ["dataset", "split", "method"], sort=False
        )
        if len(found) >= FEWEST
    }


def _points(axis: Axes, found: pd.DataFrame, column: str, values: pd.Series[float]) -> None:
    """Classes as points in the colours of their groups, grey without a tail; small if many."""
    colours = found["group"].map(GROUP_COLOURS) if has_tail(found) else "0.4"
    size = 22 if len(found) < 100 else 9
    axis.scatter(found[column], values, color=colours, alpha=0.8, s=size, linewidths=0)


def _scale_sizes(axis: Axes, found: pd.DataFrame) -> None:
    """A logarithmic axis of class sizes with plain numbers; one from 0 if they hardly vary."""
    if not sizes_vary(found):
        axis.set_xlim(0, 1.1 * found["n_train"].max())
        return
    axis.set_xscale("log")
    subs = (1,) if found["n_train"].max() > 100 * found["n_train"].min() else (1, 2, 5)
    axis.xaxis.set_major_locator(LogLocator(subs=subs))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
