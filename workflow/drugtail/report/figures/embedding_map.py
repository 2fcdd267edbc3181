"""Embeddings of training molecules in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA

from drugtail.data.groups import class_groups
from drugtail.report.drawing import GROUP_COLOURS, empty, name_groups, short
from drugtail.report.plots import FIGURES
from drugtail.runtime.names import DEFAULT, method_label


@FIGURES.register("embedding_map")
def embedding_map(embeddings: Sequence[tuple[dict[str, Any], pd.DataFrame]]) -> Figure:
    """Draw training molecules of every class in two dimensions after a few epochs.

    Parameters
    ----------
    embeddings
        Headers and rows of ``embeddings.parquet`` of blocks, one row of panels each. Every panel
        has its own principal components; at most 150 molecules of a class are drawn, always the
        same ones.
    """
    drawn = []
    for header, frame in embeddings:
        # A refresh comes before its epoch, the weights chosen are those after theirs.
        after = frame["epoch"] + (frame["moment"] == "chosen")
        if len(frame):
            drawn.append((header, list(frame.groupby([after, "moment"]))))

    if not drawn:
        return empty("No network of this benchmark finished its training.")
    columns = max(len(moments) for _, moments in drawn)
    figure, axes = plt.subplots(
        len(drawn), columns, figsize=(3.3 * columns, 3.2 * len(drawn)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for row_axes, (header, moments) in zip(axes, drawn, strict=True):
        groups = np.array(class_groups(header["train_counts"]))
        for axis, ((trained, moment), rows) in zip(row_axes, moments, strict=False):
            points = PCA(2, random_state=0).fit_transform(np.stack(rows["embedding"].tolist()))
            of = groups[rows["label"].to_numpy()]
            for group, marker in (("head", "."), ("middle", "."), ("tail", "^")):
                chosen = of == group
                axis.scatter(
                    *points[chosen].T, s=9, marker=marker, color=GROUP_COLOURS[group],
                    alpha=0.6, linewidths=0, rasterized=True,
                )  # fmt: skip
            for label in np.flatnonzero(groups == "tail"):
                centre = points[rows["label"].to_numpy() == label].mean(axis=0)
                axis.annotate(short([header["class_names"][label]])[0], centre, fontsize=6)
            chosen_text = ", chosen" if moment == "chosen" else ""
            plural = "" if trained == 1 else "s"
            axis.set_title(f"after {trained} epoch{plural}{chosen_text}", loc="left")
            axis.set_xticks([])
            axis.set_yticks([])
        for axis in row_axes[len(moments) :]:
            axis.remove()
        row_axes[0].set_ylabel(
            f"{header['dataset']} {header['split']}\n{header['encoder']} "
            + method_label(header["method"], header.get("settings", DEFAULT))
        )
    name_groups(figure)
    return figure
