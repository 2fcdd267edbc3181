"""One method against each other one, on each data set, by splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.metrics import smaller_is_better
from drugtail.evaluation.settings import tuned_name
from drugtail.evaluation.statistics import LEVEL, TESTS, compare_methods
from drugtail.report.table_notes import encoder_notes, left_out_notes, notes_on_runs
from drugtail.report.table_rows import (
    CONSTANT,
    CONSTANT_NOTE,
    UNDEFINED,
    p_as_text,
    runs_of,
    weights_constant,
    with_settings,
)
from drugtail.report.tables import TABLE_KINDS, Contents, column_of
from drugtail.runtime.names import TUNED, parse_method_label
from drugtail.runtime.registry import first_line

NOTE = (
    "Mean difference over splits, in brackets its 95 % interval, which holds for splits that were "
    "not drawn (corrected resampled t); p of {test}, and corrected with Holm's method over all "
    "rows. Equal: the interval lies within one point of zero. Better or worse: p (Holm) is below "
    "0.05. Else undecided. Data sets and kinds of splits are never pooled."
)
SMALLER_NOTE = "Of {names} a smaller value is the better one: won and lost count by it."
ONE_SPLIT_NOTE = "On a single split no difference can be told from chance."


@TABLE_KINDS.register("comparison")
def comparison(metrics: Path, table: Table, reference: str) -> Contents:
    """One method against each other one, on each data set; the table names it."""
    frame, columns = runs_of(metrics, table)
    assert table.method is not None
    finished = frame[frame["status"] == "finished"]
    method = tuned_name(finished, table.method)
    found = compare_methods(finished, method, columns, table.test)
    gaps = int((frame["status"] != "finished").sum())
    smaller = [
        column.title for column in table.columns if smaller_is_better(column_of(table, column))
    ]
    constant = {
        key for key, group in finished.groupby(["dataset", "method"]) if weights_constant(group)
    }
    marked = [
        bool({(row.dataset, row.against), (row.dataset, method)} & constant)
        for row in found.itertuples()
    ]
    notes = [
        NOTE.format(test=first_line(TESTS[table.test]).rstrip(".")),
        *_reachable(found, table.test),
        *([SMALLER_NOTE.format(names=", ".join(smaller))] if smaller else []),
        *([f"There is no method beside {table.method}."] if found.empty else []),
        *([f"Gaps: {gaps} runs are not finished."] if gaps else []),
        *([CONSTANT_NOTE] if any(marked) else []),
        *encoder_notes(frame),
        *left_out_notes(metrics, table),
        *notes_on_runs(metrics, frame),
    ]
    if parse_method_label(method)[1] == TUNED:
        notes.append(f"The settings of {table.method} are tuned.")
    printed = _printed(found, table, marked)
    return Contents(
        with_settings(found, "against", frame),
        with_settings(printed, "Against", frame, "Settings"),
        notes,
    )


def _reachable(found: pd.DataFrame, test: str) -> list[str]:
    """Say where no difference, however large, could be significant."""
    if found.empty:
        return []
    if (found["splits"] < 2).all():
        return [ONE_SPLIT_NOTE]
    if test != "signed_rank":
        return []
    splits = int(found["splits"].max())
    # Of the 2^J signs of J differences two are as extreme as all of one sign.
    smallest = 2.0 ** (1 - splits)
    corrected = min(1.0, smallest * len(found))
    if corrected < 1 - LEVEL:
        return []
    return [
        f"With {splits} splits the test can give no p below {p_as_text(smallest)}, and none below "
        f"{p_as_text(corrected)} for the smallest of {len(found)}: nothing here could be "
        "significant."
    ]


def _printed(found: pd.DataFrame, table: Table, marked: list[bool]) -> pd.DataFrame:
    """Cells as text; `marked` rows are of weights that were 1 throughout."""
    shown = {column_of(table, column): column for column in table.columns}
    names = [
        "Data set", "Split", "Against", "Metric", "Difference", "Won", "Lost", "p", "p (Holm)",
        "Verdict",
    ]  # fmt: skip
    rows = []
    for row, mark in zip(found.to_dict("records"), marked, strict=True):
        column = shown[row["metric"]]
        difference, low, high = (
            UNDEFINED if np.isnan(value) else f"{value * column.scale:+.{column.digits}f}"
            for value in (row["difference"], row["low"], row["high"])
        )
        interval = "" if np.isnan(row["low"]) else f" [{low}, {high}]"
        rows.append(
            {
                "Data set": row["dataset"],
                "Split": row["split"],
                "Against": row["against"],
                "Metric": column.title,
                "Difference": f"{difference}{interval}" + (f" {CONSTANT}" if mark else ""),
                "Won": str(row["wins"]),
                "Lost": str(row["losses"]),
                "p": p_as_text(row["p"]),
                "p (Holm)": p_as_text(row["p_holm"]),
                "Verdict": row["verdict"],
            }
        )
    return pd.DataFrame(rows, columns=names)
