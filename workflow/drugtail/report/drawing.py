"""Colours, panels and names that figures share."""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib

matplotlib.use("Agg")  # No screen is needed, on a cluster there is none.
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

GROUP_COLOURS = {"head": "#33658a", "middle": "#86bbd8", "tail": "#f26419"}
# Ends of an axis of recalls.
RECALLS = -0.05, 1.05
# Panels side by side.
MOST_COLUMNS = 3


def name_groups(figure: Figure) -> None:
    """Write the legend of head, middle and tail below a figure.

    A data set of two classes has no middle; the legend names all groups nevertheless.
    """
    patches = [Patch(color=colour, label=name) for name, colour in GROUP_COLOURS.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches))


def empty(text: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = plt.figure(figsize=(6, 1.2))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure of some panels, three side by side; height in inches of each."""
    columns = min(number, MOST_COLUMNS)
    rows = -(-number // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.2 * columns, height * rows), squeeze=False, layout="constrained"
    )
    flat = list(axes.flatten())
    for axis in flat[number:]:
        axis.remove()
    return figure, flat[:number]


def short(names: Iterable[str]) -> list[str]:
    """Return names cut to 24 characters."""
    return [name if len(name) <= 24 else name[:22] + "…" for name in names]
