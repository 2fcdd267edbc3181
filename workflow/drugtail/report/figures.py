"""Figures of a benchmark: class sizes, recall against class size, distances and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # No screen is needed, on a cluster there is none.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path, read_json, read_parquet

GROUP_COLOURS = {"head": "#33658a", "middle": "#86bbd8", "tail": "#f26419"}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.dpi": 120,
    "svg.hashsalt": "drugtail",
}


def plot_class_sizes(splits: Sequence[Path], output: Path) -> None:
    """Draw training molecules per class, classes ordered by size, one panel per data set.

    Parameters
    ----------
    splits
        JSON summaries of splits; the first of each data set is drawn.
    output
        Path without extension; ``.svg`` and ``.png`` are written.
    """
    first: dict[str, dict[str, object]] = {}
    for path in splits:
        summary = read_json(path)
        first.setdefault(summary["dataset"], summary)

    def draw() -> Figure:
        figure, axes = _panels(len(first), height=3.4)
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
            axis.set_xticks(range(len(names)), _short(names), rotation=60, ha="right", fontsize=7)
            axis.set_ylabel("training molecules")
            axis.set_title(f"{dataset} (ratio {counts.max() / counts.min():.0f})")
        # A data set of two classes has no middle; the legend names all groups nevertheless.
        patches = [Patch(color=colour, label=name) for name, colour in GROUP_COLOURS.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))
        return figure

    _save(draw, output)


def plot_recall(classes: Path, output: Path) -> None:
    """Draw test recall of every class against its training size, mean over seeds.

    One panel per data set and split; a line per method, a bar of one standard deviation.
    """
    frame = read_parquet(classes)
    if frame.empty:
        raise DrugtailError(f"{classes}: has no finished run; there is nothing to draw")
    frame = frame[frame["part"] == "test"]
    panels = list(frame.groupby(["dataset", "split"], sort=False))

    def draw() -> Figure:
        figure, axes = _panels(len(panels), height=3.2)
        methods = list(frame["method"].unique())
        colours = plt.get_cmap("tab10")
        for axis, (name, rows) in zip(axes, panels, strict=True):
            for number, method in enumerate(methods):
                chosen = rows[rows["method"] == method]
                stats = chosen.groupby("label").agg(
                    n=("n_train", "first"), mean=("recall", "mean"), std=("recall", "std")
                )
                stats = stats.sort_values("n")
                # A small shift keeps the bars of several methods apart.
                x = stats["n"] * 1.03 ** (number - len(methods) / 2)
                axis.errorbar(
                    x, stats["mean"], stats["std"], label=method, color=colours(number % 10),
                    marker="o", markersize=3, linewidth=0.9, elinewidth=0.6, alpha=0.85,
                )  # fmt: skip
            axis.set_xscale("log")
            axis.set_ylim(-0.03, 1.03)
            axis.set_xlabel("training molecules of the class")
            axis.set_ylabel("test recall")
            axis.set_title(" ".join(map(str, name)))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6))
        return figure

    _save(draw, output)


def plot_class_history(history: Path, output: Path) -> None:
    """Draw class distance and class weight over training, for methods that renew them.

    One row per data set, split and method; left the distance of each class's centroid to the
    nearest other one, right its weight; mean over seeds, coloured from the largest class (dark)
    to the smallest (bright).
    """
    frame = read_parquet(history)
    moving = frame[frame["class_distance"].notna()] if "class_distance" in frame else frame.head(0)
    panels = list(moving.groupby(["dataset", "split", "method"], sort=False)) if len(moving) else []

    def draw() -> Figure:
        if not panels:
            figure = plt.figure(figsize=(6, 1.2))
            figure.text(0.5, 0.5, "No method of this benchmark re-computes class distances.",
                        ha="center", va="center")  # fmt: skip
            return figure
        figure, axes = plt.subplots(
            len(panels), 2, figsize=(8.5, 2.7 * len(panels)), squeeze=False, layout="constrained"
        )
        for (left, right), (name, rows) in zip(axes, panels, strict=True):
            sizes = rows.groupby("label")["n"].mean().sort_values(ascending=False)
            shades = plt.get_cmap("plasma")(np.linspace(0, 0.9, len(sizes)))
            for shade, label in zip(shades, sizes.index, strict=True):
                line = rows[rows["label"] == label].groupby("epoch").mean(numeric_only=True)
                text = f"{sizes[label]:,.0f}"
                left.plot(line.index, line["class_distance"], color=shade, marker=".", label=text)
                right.plot(line.index, line["weight"], color=shade, marker=".")
            left.set_title(" ".join(map(str, name)), loc="left")
            left.set_ylabel("distance to nearest class")
            right.set_ylabel("class weight (mean 1)")
            for axis in (left, right):
                axis.set_xlabel("epoch")
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            figure_legend = right.legend(
                *left.get_legend_handles_labels(), title="class size", fontsize=6,
                loc="center left", bbox_to_anchor=(1, 0.5),
            )  # fmt: skip
            figure_legend.get_title().set_fontsize(7)
        return figure

    _save(draw, output)


def _panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(number, 3)
    rows = -(-number // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.2 * columns, height * rows), squeeze=False, layout="constrained"
    )
    flat = list(axes.flatten())
    for axis in flat[number:]:
        axis.remove()
    return figure, flat[:number]


def _short(names: Iterable[str]) -> list[str]:
    return [name if len(name) <= 24 else name[:22] + "…" for name in names]


def _save(draw: Callable[[], Figure], output: Path) -> None:
    """Write the figure as SVG and PNG, without dates so that equal figures are equal files."""
    with plt.rc_context(STYLE):
        figure = draw()
        for kind in ("svg", "png"):
            with atomic_path(output.with_name(f"{output.name}.{kind}")) as temporary:
                metadata = {"Date": None} if kind == "svg" else {}
                figure.savefig(temporary, format=kind, metadata=metadata, bbox_inches="tight")
        plt.close(figure)
