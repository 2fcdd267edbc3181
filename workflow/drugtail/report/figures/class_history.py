"""Measurements at each re-clustering."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from drugtail.report.drawing import empty, short
from drugtail.report.plots import FIGURES
from drugtail.report.reclustering import MEASURED, at_reclusterings

# Up to so many points of a line are marked.
FEW = 8
# Names of classes in a legend; of more classes, every second one is named, or every third.
MOST_NAMES = 20


@FIGURES.register("class_history")
def class_history(history: pd.DataFrame, classes: pd.DataFrame) -> Figure:
    """Draw what each re-clustering measured, for methods that re-cluster.

    One row per data set, split, encoder and method; distance of each class's centroid to the
    nearest other one, number of sub-clusters, class weight, separability (mean silhouette of
    validation molecules) and recall on validation molecules at the end of that epoch; mean over
    seeds, coloured from the largest class (dark) to the smallest (bright). Names of classes are
    those of ``class_metrics.parquet``.
    """
    moving = at_reclusterings(history)
    row = ["dataset", "split", "encoder", "method"]
    found = list(moving.groupby(row, sort=False)) if len(moving) else []
    if not found:
        return empty("No method of this benchmark re-clusters its classes.")
    figure, axes = plt.subplots(
        len(found), len(MEASURED), figsize=(3.2 * len(MEASURED), 2.6 * len(found)),
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for row_axes, (name, rows) in zip(axes, found, strict=True):
        sizes = rows.groupby("label")["n"].mean().sort_values(ascending=False)
        shades = plt.get_cmap("plasma")(np.linspace(0, 0.9, len(sizes)))
        named = classes[classes["dataset"] == name[0]].drop_duplicates("label").set_index("label")
        each = -(-len(sizes) // MOST_NAMES)
        for rank, (shade, label) in enumerate(zip(shades, sizes.index, strict=True)):
            (text,) = short([str(named["label_name"].get(label, label))])
            # Matplotlib's way to keep a line out of the legend.
            text = f"{text} ({sizes[label]:,.0f})" if rank % each == 0 else "_"
            line = rows[rows["label"] == label].groupby("epoch")[list(MEASURED)].mean()
            for axis, column in zip(row_axes, MEASURED, strict=True):
                axis.plot(
                    line.index, line[column], color=shade, label=text,
                    marker="." if len(line) <= FEW else "",
                )  # fmt: skip
        row_axes[0].set_title(" ".join(map(str, name)), loc="left")
        row_axes[list(MEASURED).index("subclusters")].set_yscale("log")
        for axis, title in zip(row_axes, MEASURED.values(), strict=True):
            axis.set_ylabel(title)
            axis.set_xlabel("epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            if rows["epoch"].nunique() == 1:
                axis.set_xticks(rows["epoch"].unique())
        legend = row_axes[-1].legend(
            title="class (training molecules)",
            fontsize=6,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
        )
        legend.get_title().set_fontsize(7)
    return figure
