"""Figures of a benchmark: class sizes, recall against class size, distances and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # No screen is needed, on a cluster there is none.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from drugtail.data.groups import class_groups
from drugtail.evaluation.identifiability import identifiability
from drugtail.evaluation.settings import with_tuned_names
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import (
    atomic_path,
    read_json,
    read_parquet,
    read_parquet_metadata,
)
from drugtail.runtime.names import DEFAULT, method_label

GROUP_COLOURS = {"head": "#33658a", "middle": "#86bbd8", "tail": "#f26419"}
# Up to so many points of a line are marked.
FEW = 8
# Ends of an axis of recalls.
RECALLS = -0.05, 1.05
# As many lines as there are colours to tell them apart.
MOST_LINES = 10
# Panels side by side, and inches of a line of a legend below them.
MOST_COLUMNS = 3
LEGEND_LINE = 0.2
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

    One panel per data set and split. Up to `MOST_LINES` methods are lines, with bars of a standard
    deviation; more are the rows of a map, the best mean recall first.
    """
    frame = with_tuned_names(read_parquet(classes))
    if frame.empty:
        raise DrugtailError(f"{classes}: has no finished run; there is nothing to draw")
    frame = frame[frame["subset"] == "test"]
    if frame.groupby("method")["encoder"].nunique().max() > 1:
        # One encoder's recall is no other seed of another's.
        frame = frame.assign(method=frame["method"] + " (" + frame["encoder"] + ")")
    methods = list(frame["method"].unique())
    panels = [(" ".join(map(str, name)), rows)
              for name, rows in frame.groupby(["dataset", "split"], sort=False)]  # fmt: skip

    def draw() -> Figure:
        if len(methods) > MOST_LINES:
            return _recall_map(panels)
        return _recall_lines(panels, methods)

    _save(draw, output)


def _recall_lines(panels: Sequence[tuple[str, pd.DataFrame]], methods: Sequence[str]) -> Figure:
    figure, axes = _panels(len(panels), height=3.2)
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
                x, stats["mean"], stats["std"], label=method, color=colours(number),
                marker="o", markersize=3, linewidth=0.9, elinewidth=0.6, alpha=0.85,
            )  # fmt: skip
        axis.set_xscale("log")
        axis.set_ylim(-0.03, 1.03)
        axis.set_xlabel("training molecules of the class")
        axis.set_ylabel("test recall")
        axis.set_title(name)
    handles, labels = axes[0].get_legend_handles_labels()
    # As wide as the panels, and no taller at their cost.
    columns = min(len(labels), 2 * min(len(panels), MOST_COLUMNS))
    lines = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * lines)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def _recall_map(panels: Sequence[tuple[str, pd.DataFrame]]) -> Figure:
    """A row per method, a column per class from the largest to the smallest; recall in percent."""
    tables = []
    for name, rows in panels:
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
        sized = [f"{short} ({n:,})" for short, n in
                 zip(_short(classes["label_name"]), classes["n_train"], strict=True)]  # fmt: skip
        axis.set_xticks(range(len(sized)), sized, rotation=60, ha="right", fontsize=6)
        scored = [f"{method}  {100 * mean:.1f}" for method, mean in best.items()]
        axis.set_yticks(range(len(scored)), scored, fontsize=6.5)
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
        axis.set_title(f"{name}: recall on test molecules, mean over classes beside the method")
    return figure


def plot_class_history(history: Path, output: Path) -> None:
    """Draw what each re-clustering measured, for methods that re-cluster.

    One row per data set, split, encoder and method; distance of each class's centroid to the
    nearest other one, number of sub-clusters, class weight, separability (mean silhouette of
    validation molecules) and recall on validation molecules at the end of that epoch; mean over
    seeds, coloured from the largest class (dark) to the smallest (bright).
    """
    frame = with_tuned_names(read_parquet(history))
    moving = frame[frame["moment"] == "refresh"] if "moment" in frame else frame.head(0)
    row = ["dataset", "split", "encoder", "method"]
    panels = list(moving.groupby(row, sort=False)) if len(moving) else []
    titles = {
        "class_distance": "distance to nearest class",
        "subclusters": "sub-clusters",
        "weight": "class weight (mean 1)",
        "valid_separability": "separability (validation)",
        "valid_recall": "recall (validation)",
    }

    def draw() -> Figure:
        if not panels:
            return _empty("No method of this benchmark re-clusters its classes.")
        figure, axes = plt.subplots(
            len(panels), len(titles), figsize=(3.2 * len(titles), 2.6 * len(panels)),
            squeeze=False, layout="constrained",
        )  # fmt: skip
        for row_axes, (name, rows) in zip(axes, panels, strict=True):
            sizes = rows.groupby("label")["n"].mean().sort_values(ascending=False)
            shades = plt.get_cmap("plasma")(np.linspace(0, 0.9, len(sizes)))
            for shade, label in zip(shades, sizes.index, strict=True):
                line = rows[rows["label"] == label].groupby("epoch")[list(titles)].mean()
                for axis, column in zip(row_axes, titles, strict=True):
                    axis.plot(
                        line.index, line[column], color=shade, label=f"{sizes[label]:,.0f}",
                        marker="." if len(line) <= FEW else "",
                    )  # fmt: skip
            row_axes[0].set_title(" ".join(map(str, name)), loc="left")
            row_axes[1].set_yscale("log")
            for axis, title in zip(row_axes, titles.values(), strict=True):
                axis.set_ylabel(title)
                axis.set_xlabel("epoch")
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
                if rows["epoch"].nunique() == 1:
                    axis.set_xticks(rows["epoch"].unique())
            legend = row_axes[-1].legend(
                title="class size", fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5)
            )
            legend.get_title().set_fontsize(7)
        return figure

    _save(draw, output)


def plot_embedding_map(embeddings: Sequence[Path], output: Path) -> None:
    """Draw training molecules of every class in two dimensions after a few epochs.

    Parameters
    ----------
    embeddings
        ``embeddings.parquet`` of blocks, one row of panels each. Every panel has its own principal
        components; at most 150 molecules of a class are drawn, always the same ones.
    output
        Path without extension.
    """
    blocks = [(read_parquet_metadata(path), read_parquet(path)) for path in embeddings]
    drawn = []
    for header, frame in blocks:
        # A refresh comes before its epoch, the weights chosen are those after theirs.
        trained = frame["epoch"] + (frame["moment"] == "chosen")
        if len(frame):
            drawn.append((header, list(frame.groupby([trained, "moment"]))))

    def draw() -> Figure:
        if not drawn:
            return _empty("No network of this benchmark finished its training.")
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
                    axis.annotate(_short([header["class_names"][label]])[0], centre, fontsize=6)
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
        patches = [Patch(color=colour, label=name) for name, colour in GROUP_COLOURS.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))
        return figure

    _save(draw, output)


def plot_identifiability(classes: Path, history: Path, output: Path) -> None:
    """Draw test recall of every class against its size and against its separability.

    One row per data set and split of at least four classes, for the first method that re-clusters
    (or, without one, the first network); mean over seeds, with Spearman's rank correlation.
    """
    recall, measured = (
        with_tuned_names(read_parquet(classes)),
        with_tuned_names(read_parquet(history)),
    )
    table = identifiability(recall, measured)
    table = table[table["valid_separability_rho"].notna()]
    if len(table):
        moving = measured.loc[measured["moment"] == "refresh", "method"]
        first = moving.iloc[0] if len(moving) else table["method"].iloc[0]
        table = table[table["method"] == first]

    def draw() -> Figure:
        if table.empty:
            return _empty("No data set of this benchmark has four classes and a trained network.")
        figure, axes = plt.subplots(
            len(table), 2, figsize=(10.4, 3.3 * len(table)), squeeze=False, layout="constrained"
        )
        for row_axes, row in zip(axes, table.to_dict("records"), strict=True):
            points = _class_points(recall, measured, row)
            for axis, name, title in (
                (row_axes[0], "n_train", "training molecules of the class"),
                (row_axes[1], "valid_separability", "separability (validation)"),
            ):
                for group, colour in GROUP_COLOURS.items():
                    chosen = points[points["group"] == group]
                    axis.scatter(chosen[name], chosen["recall"], color=colour, s=22)
                known = points.dropna(subset=[name, "recall"])
                _name_points(axis, known[name], known["recall"], _short(known["label_name"]))
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
        patches = [Patch(color=colour, label=name) for name, colour in GROUP_COLOURS.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))
        return figure

    _save(draw, output)


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


def _empty(text: str) -> Figure:
    figure = plt.figure(figsize=(6, 1.2))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    columns = min(number, MOST_COLUMNS)
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
