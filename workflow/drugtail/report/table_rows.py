"""Parts that kinds of tables share: their runs, settings in rows, the look of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.table import OF_A_RUN, Table
from drugtail.evaluation.effort import EFFORT
from drugtail.evaluation.settings import with_tuned_names
from drugtail.evaluation.statistics import ROW, SIZES
from drugtail.report.tables import column_of
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.names import TUNED, parse_method_label
from drugtail.runtime.parquet import read_parquet

GAP = "—"
UNDEFINED = "n/a"
CONSTANT = "†"
CONSTANT_NOTE = (
    f"{CONSTANT} With two classes each is the other's nearest, so both distances are equal and "
    "both class weights were 1 throughout: the reweighting does nothing here."
)
WEIGHTS = ["class_weights", "weight_ratio"]


def runs_of(
    metrics: Path, table: Table, columns: list[str] | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """All runs, and the columns that a table shows; an error if a metric is unknown.

    Parameters
    ----------
    metrics
        Folder that `drugtail collect` wrote.
    table
        The table.
    columns
        Of runs.parquet; by default those of the table's metrics.
    """
    frame = with_tuned_names(read_parquet(metrics / "runs.parquet"))
    if columns is None:
        columns = [column_of(table, column) for column in table.columns]
    if (frame["status"] == "finished").any():
        for name in columns:
            if name not in frame:
                metric = name.removeprefix(f"{table.subset}_")
                raise DrugtailError(
                    f"table {table.name}: metric {metric!r} is unknown; `drugtail list "
                    f"metrics` names them all, and {', '.join(OF_A_RUN)} stand for themselves"
                )
    known = [*ROW, "seed", "status", *WEIGHTS, *columns]
    more = [name for name in ("settings", *SIZES, *EFFORT) if name in frame and name not in columns]
    return frame.reindex(columns=[*known, *more]), columns


def with_settings(
    found: pd.DataFrame, column: str, frame: pd.DataFrame, title: str = "settings"
) -> pd.DataFrame:
    """Plain names of methods in a column, and beside it their settings if any of `frame` is tuned.

    Parameters
    ----------
    found
        Rows of a table.
    column
        Its column of names as `with_tuned_names` gave them.
    frame
        All runs, told apart.
    title
        Name of the new column.
    """
    names = list(frame["method"].unique()) if "method" in frame else []
    if not any(parse_method_label(name)[1] == TUNED for name in names):
        return found
    parsed = [parse_method_label(name) for name in found[column]]
    plain = found.assign(**{column: [method for method, _ in parsed]})
    plain.insert(list(plain.columns).index(column) + 1, title, [settings for _, settings in parsed])
    return plain


def weights_constant(finished: pd.DataFrame) -> bool:
    """Return whether the runs weigh by class distances and all weights were 1 throughout."""
    return bool(
        (finished["class_weights"] == "class_distance").any()
        and (finished["weight_ratio"] < 1 + 1e-6).all()
    )


def p_as_text(value: float) -> str:
    """Return a p value as a table prints it."""
    if np.isnan(value):
        return UNDEFINED
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
