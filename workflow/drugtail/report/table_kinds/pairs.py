"""Tests between all pairs of methods on each data set, for description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from drugtail.config.table import Table, TableColumn
from drugtail.evaluation.metrics import smaller_is_better
from drugtail.evaluation.posthoc import nemenyi, tukey
from drugtail.evaluation.statistics import by_split, named_splits
from drugtail.report.table_notes import left_out_notes, notes_on_runs
from drugtail.report.table_rows import p_as_text, runs_of
from drugtail.report.tables import TABLE_KINDS, Contents, column_of

ROW = ["dataset", "split", "metric", "method", "against"]
VALUES = [*ROW, "splits", "difference", "tukey", "nemenyi"]
NOTE = (
    "P values between all pairs of rows, best first: above the diagonal Tukey's after a "
    "repeated-measures analysis of variance, below it Nemenyi's after Friedman's test. They "
    "describe these splits; they take them for independent, which splits of one data set are not, "
    "so nothing is inferred from them. Rows that lack a split are left out."
)


@TABLE_KINDS.register("pairs")
def pairs(metrics: Path, table: Table, reference: str) -> Contents:
    """Tukey's and Nemenyi's p values between all methods on each data set."""
    frame, columns = runs_of(metrics, table)
    finished = frame[frame["status"] == "finished"]
    values: list[dict[str, Any]] = []
    printed: list[dict[str, str]] = []
    means = by_split(finished, columns)
    for (dataset, _), group in means.groupby(["dataset", "kind"], sort=False):
        for column in table.columns:
            wide = _wide(group, column_of(table, column))
            if min(wide.shape) < 2:
                continue
            place = {"dataset": dataset, "split": named_splits(group["split"])}
            tested = tukey(wide), nemenyi(wide)
            values += _values(wide, *tested, place | {"metric": column_of(table, column)})
            printed += _printed(wide, *tested, place, column, len(table.columns) > 1)
    shown = pd.DataFrame(printed).fillna("") if printed else pd.DataFrame(columns=["Method"])
    notes = [NOTE, *left_out_notes(metrics, table), *notes_on_runs(metrics, frame)]
    return Contents(pd.DataFrame(values, columns=VALUES), shown, notes)


def _wide(group: pd.DataFrame, column: str) -> pd.DataFrame:
    """Splits down, methods across, the best first; without methods that lack a split."""
    named = group["method"]
    if group["encoder"].nunique() > 1:
        named = group["encoder"] + "/" + named
    wide = group.assign(method=named).pivot(index="split", columns="method", values=column)
    wide = wide.dropna(axis=1)
    best_first = wide.mean().sort_values(ascending=smaller_is_better(column), kind="stable")
    return wide[list(best_first.index)]


def _values(
    wide: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame, place: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    names = list(wide.columns)
    for position, one in enumerate(names):
        for two in names[position + 1 :]:
            yield place | {
                "method": one, "against": two, "splits": len(wide),
                "difference": float((wide[one] - wide[two]).mean()),
                "tukey": first.loc[one, two], "nemenyi": second.loc[one, two],
            }  # fmt: skip


def _printed(
    wide: pd.DataFrame,
    first: pd.DataFrame,
    second: pd.DataFrame,
    place: dict[str, Any],
    column: TableColumn,
    several: bool,
) -> Iterator[dict[str, str]]:
    names = list(wide.columns)
    for row, one in enumerate(names):
        cells = {"Data set": place["dataset"], "Split": place["split"]}
        if several:
            cells["Metric"] = column.title
        cells["Method"] = f"{row + 1} {one}"
        mean = float(wide[one].mean()) * column.scale
        cells["Mean"] = f"{mean:.{column.digits}f}"
        for other in range(len(names)):
            p = (first if other > row else second).to_numpy()[row, other]
            cells[str(other + 1)] = "" if other == row else p_as_text(p)
        yield cells
