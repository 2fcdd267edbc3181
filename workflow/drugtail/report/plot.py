"""Drawing one figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # No screen is needed, on a cluster there is none.
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from drugtail.evaluation.settings import with_tuned_names
from drugtail.report.plots import FIGURES, Input, plot_of
from drugtail.runtime.errors import DrugtailError, file_of
from drugtail.runtime.files import atomic_path, read_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.dpi": 120,
    "svg.hashsalt": "drugtail",
}


def _table(paths: Sequence[Path]) -> Any:
    return with_tuned_names(read_parquet(paths[0]))


READERS: dict[Input, Callable[[Sequence[Path]], Any]] = {
    "splits": lambda paths: [read_json(path) for path in paths],
    "runs": _table,
    "classes": _table,
    "history": _table,
    "embeddings": lambda paths: [(read_parquet_metadata(p), read_parquet(p)) for p in paths],
}
# These may be none: a benchmark may have no network.
MAY_BE_NONE = ("embeddings",)


def plot(figure: str, inputs: Mapping[Input, Sequence[Path]], output: Path) -> None:
    """Draw a figure as ``{output}.svg`` and ``{output}.png``.

    Parameters
    ----------
    figure
        Name of a registered figure.
    inputs
        Files of every kind of input that it is drawn from.
    output
        Path without extension.

    Raises
    ------
    DrugtailError
        If there is no such figure, an input is lacking, or what its function gives is no figure.
    """
    if figure not in FIGURES.names():
        raise DrugtailError(
            f"{figure!r} is not a figure; there are {', '.join(FIGURES.names())}; one of your own "
            "needs its file: --plugin"
        )
    wanted = plot_of(figure).inputs
    lacking = [kind for kind in wanted if not inputs.get(kind) and kind not in MAY_BE_NONE]
    if lacking:
        raise DrugtailError(f"{figure}: is drawn from {', '.join(wanted)}; name --{lacking[0]}")
    given = [READERS[kind](inputs.get(kind, ())) for kind in wanted]
    with plt.rc_context(STYLE):
        try:
            drawn = FIGURES.guarded(figure)(*given)
        except DrugtailError as error:
            places = ", ".join(str(path) for kind in wanted for path in inputs.get(kind, ()))
            raise DrugtailError(f"{figure} of {places}: {error}") from None
        if not isinstance(drawn, Figure):
            raise DrugtailError(
                f"figure {figure!r} ({file_of(FIGURES[figure])}): gives "
                f"{type(drawn).__name__}; return a figure of Matplotlib"
            )
        for kind in ("svg", "png"):
            with atomic_path(output.with_name(f"{output.name}.{kind}")) as temporary:
                # Without dates, so that equal figures are equal files.
                metadata = {"Date": None} if kind == "svg" else {}
                drawn.savefig(temporary, format=kind, metadata=metadata, bbox_inches="tight")
        plt.close(drawn)
