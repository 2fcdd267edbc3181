"""Training molecules per class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from drugtail.report.drawing import GROUP_COLOURS, name_groups, panels, short
from drugtail.report.plots import FIGURES


@FIGURES.register("class_sizes")
def class_sizes(splits: Sequence[dict[str, Any]]) -> Figure:
    """Draw training molecules per class, classes ordered by size, one panel per data set.

    Parameters
    ----------
    splits
        Summaries of splits; the first of each data set is drawn.
    """
    first: dict[str, dict[str, Any]] = {}
    for summary in splits:
        first.setdefault(summary["dataset"], summary)
    figure, axes = panels(len(first), height=3.4)
    for axis, (dataset, summary) in zip(axes, first.items(), strict=True):
        counts = np.array(summary["train_counts"])
        order = np.argsort(-counts, kind="stable")
        groups = np.array(summary["groups"])[order]
        names = np.array(summary["class_names"])[order]
        for group, colour in GROUP_COLOURS.items():
            rows = np.flatnonzero(groups == group)
            if len(rows):
                axis.bar(rows, counts[order][rows], color=colour)
        axis.set_yscale("log")
        axis.set_xticks(range(len(names)), short(names), rotation=60, ha="right", fontsize=7)
        axis.set_ylabel("training molecules")
        axis.set_title(f"{dataset} (ratio {counts.max() / counts.min():.0f})")
    name_groups(figure)
    return figure
