"""Means of metrics over splits, or of their differences to a reference method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.table import OF_A_RUN, Table
from drugtail.evaluation.leaders import leaders, row_of
from drugtail.evaluation.settings import tuned_name
from drugtail.evaluation.statistics import ROW, SIZES
from drugtail.report.latex import Marks
from drugtail.report.means import cell, notes_on_means, summarise
from drugtail.report.table_notes import left_out_notes, notes_on_runs
from drugtail.report.table_rows import CONSTANT, WEIGHTS, runs_of, with_settings
from drugtail.report.tables import TABLE_KINDS, Contents, column_of


@TABLE_KINDS.register("metrics")
def metrics_table(metrics: Path, table: Table, reference: str) -> Contents:
    """Means of metrics over splits, or of their differences to a reference method."""
    frame, columns = runs_of(metrics, table)
    on_runs = notes_on_runs(metrics, frame)
    sizes = [name for name in SIZES if name in frame]
    frame = frame[[*ROW, "seed", "status", *WEIGHTS, *sizes, *columns]]
    if table.difference:
        frame = paired_difference(frame, columns, tuned_name(frame, reference))
    summary = summarise(frame, columns, differences=table.difference)
    if table.order is not None:
        first = next(column for column in table.columns if column.metric == table.order)
        summary = _best_first(summary, f"{column_of(table, first)}_mean")
    notes = [*notes_on_means(summary, table), *left_out_notes(metrics, table), *on_runs]
    marks = {} if table.difference else _marks(frame, summary, table)
    summary = with_settings(summary, "method", frame)
    return Contents(summary, _printed(summary, table), notes, marks)


def _marks(frame: pd.DataFrame, summary: pd.DataFrame, table: Table) -> Marks:
    """Return the cells that are best, or not told apart from it."""
    titles = {column_of(table, c): c.title for c in table.columns if c.metric not in OF_A_RUN}
    found = leaders(frame[frame["status"] == "finished"], list(titles))
    return {
        (place, title): found[key]
        for place, row in enumerate(summary.to_dict("records"))
        for metric, title in titles.items()
        if (key := row_of(row, metric)) in found
    }


def _best_first(summary: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of a data set and split by falling values of a column; those without one at the end."""
    groups = [
        group.sort_values(column, ascending=False, kind="stable")
        for _, group in summary.groupby(["dataset", "split"], sort=False)
    ]
    return pd.concat(groups, ignore_index=True) if groups else summary


def paired_difference(frame: pd.DataFrame, columns: list[str], reference: str) -> pd.DataFrame:
    """Subtract the reference method's metrics of the same data set, split and seed.

    The reference's own rows go. A run whose partner did not finish is ``unpaired``.
    """
    finished = frame["status"] == "finished"
    pair = ["dataset", "split", "seed"]
    base = frame[finished & (frame["method"] == reference)][pair + columns]
    if base.duplicated(pair).any():
        # Several encoders: compare within each; only methods of that encoder have a partner.
        pair = ["dataset", "split", "encoder", "seed"]
        base = frame[finished & (frame["method"] == reference)][pair + columns]
    others = frame[frame["method"] != reference]
    joined = others.merge(
        base, on=pair, how="left", suffixes=("", "_reference"), indicator="_partner"
    )
    alone = (joined["status"] == "finished") & (joined["_partner"] == "left_only")
    joined.loc[alone, "status"] = "unpaired"
    for column in columns:
        joined[column] = joined[column] - joined[f"{column}_reference"]
    return joined[list(frame.columns)]


def _printed(summary: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Cells as text."""
    printed = pd.DataFrame(
        {
            "Data set": summary["dataset"],
            "Split": summary["split"],
            "Method": summary["method"] + np.where(summary["weights_constant"], f" {CONSTANT}", ""),
        }
    )
    if "settings" in summary:
        printed["Settings"] = summary["settings"]
    if summary["encoder"].nunique() > 1:
        printed["Encoder"] = summary["encoder"]
    printed["Runs"] = [
        str(n) if n == of else f"{n} of {of}"
        for n, of in zip(summary["runs"], summary["expected"], strict=True)
    ]
    for column in table.columns:
        name = column_of(table, column)
        half = (summary[f"{name}_high"] - summary[f"{name}_low"]) / 2
        cells = zip(summary["runs"], summary[f"{name}_mean"], half, strict=True)
        sign = "+" if table.difference else ""
        printed[column.title] = [
            cell(n, mean * column.scale, half * column.scale, column.digits, sign)
            for n, mean, half in cells
        ]
    return printed
