"""Methods down and data sets across, with figures that others published beside ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from drugtail.config.table import OF_A_RUN, Quoted, Table, TableColumn
from drugtail.evaluation.leaders import leaders, row_of
from drugtail.evaluation.metrics import smaller_is_better
from drugtail.evaluation.statistics import ROW, kind_of_named
from drugtail.report.latex import Marks
from drugtail.report.means import cell, notes_on_means, summarise
from drugtail.report.table_notes import left_out_notes, notes_on_runs
from drugtail.report.table_rows import CONSTANT, GAP, runs_of, with_settings
from drugtail.report.tables import TABLE_KINDS, Contents, column_of

UNKNOWN = "not available"
SHOWN = ["dataset", "split", "encoder", "method", "runs", "expected"]
VALUES = ["metric", "source", "mean", "low", "high", "spread"]
QUOTED_NOTE = (
    "A column headed by a source quotes it; its ± is what stands there, not an interval as ours. "
    f"{UNKNOWN}: not known to us."
)


class Place(NamedTuple):
    """Subject of a column."""

    dataset: str
    # As `named_splits` says it; of what only others have, the kind of split.
    split: str
    column: TableColumn


@TABLE_KINDS.register("across")
def across(metrics: Path, table: Table, reference: str) -> Contents:
    """Means over splits with methods down and data sets across; figures of others beside them."""
    frame, columns = runs_of(metrics, table)
    summary = summarise(frame, columns)
    marks = _marks(frame, summary, table)
    values = pd.DataFrame([*_ours(summary, table), *_theirs(table)], columns=[*SHOWN, *VALUES])
    notes = [
        *notes_on_means(summary, table),
        *([QUOTED_NOTE] if table.quoted else []),
        *_differing(table),
        *_below(summary, table),
        *left_out_notes(metrics, table),
        *notes_on_runs(metrics, frame),
    ]
    return Contents(
        with_settings(values, "method", frame),
        with_settings(_printed(summary, table), "Method", frame, "Settings"),
        notes,
        marks,
    )


def _marks(frame: pd.DataFrame, summary: pd.DataFrame, table: Table) -> Marks:
    """Return the cells that are best, or not told apart from it; quoted ones are not compared."""
    shown = [column for column in table.columns if column.metric not in OF_A_RUN]
    finished = frame[frame["status"] == "finished"]
    found = leaders(finished, [column_of(table, column) for column in shown])
    lines = _lines(summary, table)
    return {
        (lines.index((row["encoder"], row["method"])), _head(row["dataset"], row["split"], one)):
            found[key]
        for row in summary.to_dict("records")
        for one in shown
        if (key := row_of(row, column_of(table, one))) in found
    }  # fmt: skip


def _ours(summary: pd.DataFrame, table: Table) -> Iterator[dict[str, Any]]:
    """Rows of the CSV, one per data set, kind of split, encoder, method and metric."""
    for row in summary.to_dict("records"):
        for column in table.columns:
            name = column_of(table, column)
            ends = {end: row[f"{name}_{end}"] for end in ("mean", "low", "high")}
            yield {key: row[key] for key in SHOWN} | {"metric": name} | ends


def _theirs(table: Table) -> Iterator[dict[str, Any]]:
    """Rows of the CSV that are quoted, in the unit of ours."""
    for quoted in table.quoted:
        column = _column(table, quoted)
        for method in quoted.values:
            value, spread = _figure(quoted, method)
            yield {
                "dataset": quoted.dataset, "split": quoted.split, "method": method,
                "metric": column_of(table, column), "source": quoted.source,
                "mean": value / column.scale, "spread": spread / column.scale,
            }  # fmt: skip


def _column(table: Table, quoted: Quoted) -> TableColumn:
    return next(column for column in table.columns if column.metric == quoted.metric)


def _figure(quoted: Quoted, method: str) -> tuple[float, float]:
    """Return the quoted figure of a method, and its spread; NaN if unknown."""
    found = quoted.values.get(method)
    if isinstance(found, list):
        value, spread = found
        return value, spread
    return (np.nan if found is None else found), np.nan


def _is_beside(quoted: Quoted, place: Place) -> bool:
    return (quoted.dataset, quoted.split, quoted.metric) == (
        place.dataset, kind_of_named(place.split), place.column.metric
    )  # fmt: skip


def _places(summary: pd.DataFrame, table: Table) -> list[Place]:
    """Return the subjects of columns, ours first and then those that only others have."""
    ours = dict.fromkeys(zip(summary["dataset"], summary["split"], strict=True))
    places = [Place(*one, column) for one in ours for column in table.columns]
    for quoted in table.quoted:
        if not any(_is_beside(quoted, place) for place in places):
            places.append(Place(quoted.dataset, quoted.split, _column(table, quoted)))
    return places


def _printed(summary: pd.DataFrame, table: Table) -> pd.DataFrame:
    places = _places(summary, table)
    rows = _lines(summary, table)
    found = {tuple(row[key] for key in ROW): row for _, row in summary.iterrows()}
    several_encoders = summary["encoder"].nunique() > 1
    printed = []
    for encoder, method in rows:
        constant = bool(summary[summary["method"] == method]["weights_constant"].any())
        cells = {"Method": f"{method} {CONSTANT}" if constant else method}
        if several_encoders:
            cells["Encoder"] = encoder or GAP
        for place in places:
            head = _head(*place)
            key = (place.dataset, place.split, encoder, method)
            cells[head] = _cell(found[key], table, place.column) if key in found else GAP
            for quoted in table.quoted:
                if _is_beside(quoted, place):
                    cells[f"{head}, {quoted.source}"] = _quoted_cell(quoted, method, place.column)
        printed.append(cells)
    return pd.DataFrame(printed or None, columns=None if printed else ["Method"])


def _lines(summary: pd.DataFrame, table: Table) -> list[tuple[str, str]]:
    """Return encoder and method of each row, ours first and then those that only others have."""
    rows = list(dict.fromkeys(zip(summary["encoder"], summary["method"], strict=True)))
    own = {method for _, method in rows}
    return rows + [("", name) for name in _named(table) if name not in own]


def _head(dataset: str, split: str, column: TableColumn) -> str:
    return f"{dataset} ({split}): {column.title}"


def _named(table: Table) -> list[str]:
    """Methods that others have, each once."""
    return list(dict.fromkeys(method for quoted in table.quoted for method in quoted.values))


def _cell(row: pd.Series, table: Table, column: TableColumn) -> str:
    name = column_of(table, column)
    half = (row[f"{name}_high"] - row[f"{name}_low"]) / 2
    return cell(row["runs"], row[f"{name}_mean"] * column.scale, half * column.scale, column.digits)


def _quoted_cell(quoted: Quoted, method: str, column: TableColumn) -> str:
    if method not in quoted.values:
        return GAP
    value, spread = _figure(quoted, method)
    return UNKNOWN if np.isnan(value) else cell(1, value, spread, column.digits)


def _differing(table: Table) -> list[str]:
    """Return notes on how those who are quoted differ, each once."""
    told = [f"{q.source} on {q.dataset}: {q.differs}" for q in table.quoted if q.differs]
    return list(dict.fromkeys(told))


def _below(summary: pd.DataFrame, table: Table) -> list[str]:
    """Name means that are worse than what is quoted by more than their interval."""
    worse = []
    for row in summary.to_dict("records"):
        for quoted in table.quoted:
            column = _column(table, quoted)
            if not _is_beside(quoted, Place(row["dataset"], row["split"], column)):
                continue
            value, _ = _figure(quoted, row["method"])
            name = column_of(table, column)
            sign = -1 if smaller_is_better(name) else 1
            best = row[f"{name}_high" if sign > 0 else f"{name}_low"] * column.scale
            if sign * best < sign * value:
                worse.append(f"{row['method']} on {row['dataset']} ({column.title})")
    return [f"Worse than quoted by more than the interval: {', '.join(worse)}."] if worse else []
