"""The registry of figures, with captions and inputs of the package's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from drugtail.runtime.registry import Registry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What a figure can be drawn from, in the order of the command's options: summaries of splits (a
# list of dictionaries), runs.parquet, class_metrics.parquet, class_history.parquet (data frames),
# and embeddings.parquet of chosen blocks (a list of header and data frame).
Input = Literal["splits", "runs", "classes", "history", "embeddings"]
INPUTS: tuple[Input, ...] = ("splits", "runs", "classes", "history", "embeddings")


@dataclass(frozen=True)
class Plot:
    """Properties of a figure, known before it is drawn.

    Attributes
    ----------
    caption : str
        What the page says below it.
    inputs : tuple of str
        What the function gets, in this order; of `INPUTS`.
    """

    caption: str
    inputs: tuple[Input, ...]


# A function from the inputs that its `Plot` names to a figure of Matplotlib, drawn in the style of
# the others. One of a plugin's is registered with its `Plot`, those of the package have it below.
FIGURES: Registry[Callable[..., Figure]] = Registry("figure", "drugtail.report.figures")

# Apart from their functions, since a workflow reads them before any job, without Matplotlib.
PLOTS = {
    "class_sizes": Plot("Training molecules per class.", ("splits",)),
    "recall_by_class_size": Plot(
        "Test recall of each class against its training size, over the splits of a kind: as lines "
        "with Wilson's 95 % intervals for as many distinct parents as are tested, each method "
        "shifted sideways a little, or, of many methods, as a map with training molecules in "
        "brackets.",
        ("classes",),
    ),
    "class_history": Plot(
        "What each re-clustering measured: distance of each class's centroid to the nearest other "
        "one, sub-clusters, class weight, separability (mean silhouette of validation molecules) "
        "and recall on validation molecules; mean over seeds.",
        ("history", "classes"),
    ),
    "embedding_map": Plot(
        "Embeddings of training molecules at a few epochs of one run, in two principal components "
        "of their own each; at most 150 molecules of a class, tail classes named.",
        ("embeddings",),
    ),
    "trade_off": Plot(
        "Change of tail recall against change of head recall, each method less cross_entropy (the "
        "cross) on the same splits. Rows are named that no other row exceeds in both, with 95 % "
        "intervals.",
        ("runs",),
    ),
    "critical_difference": Plot(
        "Mean ranks by balanced accuracy on test molecules, of the 15 best rows at most: over data "
        "sets, or over the splits of fewer than three, which share molecules (then a description). "
        "Rows are joined where Nemenyi's test after Friedman's does not tell them apart at 5 %.",
        ("runs",),
    ),
    "separability": Plot(
        "Test recall of each class against its size, and against its silhouette on fingerprints of "
        "training molecules, which is measured before training; there the part of recall that goes "
        "with size is taken off, by a least-squares line.",
        ("classes",),
    ),
}


def plot_of(figure: str) -> Plot:
    """Return what a figure says of itself."""
    declared: Any = PLOTS.get(figure) or FIGURES.settings(figure)
    assert isinstance(declared, Plot)
    return declared
