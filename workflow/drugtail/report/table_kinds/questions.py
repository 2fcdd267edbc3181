"""Comparisons that a benchmark registers, on each data set and over all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drugtail.config.table import Question, Table
from drugtail.evaluation.across import over_data_sets
from drugtail.evaluation.row_names import parse_row
from drugtail.evaluation.settings import tuned_name
from drugtail.evaluation.statistics import by_split, compare_pairs
from drugtail.report.table_notes import encoder_notes, left_out_notes, notes_on_runs
from drugtail.report.table_rows import UNDEFINED, p_as_text, runs_of
from drugtail.report.tables import TABLE_KINDS, Contents

ALL = "all"
PRINTED = ["Question", "Data set", "Split", "Difference", "p (Holm)", "Verdict"]
NOTE = (
    "Comparisons that the benchmark registers; what other tables compare is exploratory. Mean "
    "difference over splits, in brackets its 95 % interval (corrected resampled t); p corrected "
    "with Holm's method over all rows of this table. Equal: the interval lies within one point of "
    "zero. Better or worse: p (Holm) is below 0.05."
)
ALL_NOTE = (
    "The rows `all` are of a hierarchical model over data sets: mean difference with its 95 % "
    "credible interval, and the probabilities that the difference on a data set which is not among "
    "these is below minus one point, within a point of zero, or above."
)


@TABLE_KINDS.register("questions")
def questions(metrics: Path, table: Table, reference: str) -> Contents:
    """Registered comparisons on each data set, corrected among themselves, and over data sets."""
    asked = table.questions
    columns = list(dict.fromkeys(f"{one.subset}_{one.metric}" for one in asked))
    frame, _ = runs_of(metrics, table, columns)
    finished = frame[frame["status"] == "finished"]
    pairs = [
        (
            tuned_name(finished, one.method),
            tuned_name(finished, one.against),
            f"{one.subset}_{one.metric}",
        )
        for one in asked
    ]
    found = compare_pairs(finished, pairs)
    number = len(asked)
    found.insert(0, "question", [position % number for position in range(len(found))])
    over_all = _over_data_sets(finished, pairs)
    found = pd.concat([found, over_all]).sort_values("question", kind="stable", ignore_index=True)
    missing = int((frame["status"] != "finished").sum())
    on_one = [parse_row(row)[1] is not None for one in asked for row in (one.method, one.against)]
    notes = [
        NOTE,
        *([ALL_NOTE] if len(over_all) else []),
        *([f"Gaps: {missing} runs are not finished."] if missing else []),
        *([] if all(on_one) else encoder_notes(frame)),
        *left_out_notes(metrics, table),
        *notes_on_runs(metrics, frame),
    ]
    found.insert(1, "asks", [asked[position].asks for position in found["question"]])
    return Contents(found, _printed(found, asked), notes)


def _over_data_sets(finished: pd.DataFrame, pairs: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Rows of what all data sets say, one per question and kind of split."""
    rows: list[dict[str, Any]] = []
    means = by_split(finished, list(dict.fromkeys(column for *_, column in pairs)))
    for kind, group in means.groupby("kind", sort=False):
        for question, (method, other, column) in enumerate(pairs):
            found = over_data_sets(group, method, other, column)
            if found is not None:
                values = found._asdict()
                rows.append(
                    {"question": question, "dataset": ALL, "split": kind, "method": method,
                     "against": other, "metric": column, "difference": values.pop("mean"), **values}
                )  # fmt: skip
    names = ["question", "dataset", "worse", "equal", "better"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=names)


def _printed(found: pd.DataFrame, asked: list[Question]) -> pd.DataFrame:
    rows = []
    for row in found.to_dict("records"):
        ends = [100 * row[name] for name in ("difference", "low", "high")]
        shown = UNDEFINED if np.isnan(ends[0]) else f"{ends[0]:+.1f}"
        if not np.isnan(ends[1]):
            shown += f" [{ends[1]:+.1f}, {ends[2]:+.1f}]"
        if row["dataset"] == ALL:
            worse, equal, better = (row[name] for name in ("worse", "equal", "better"))
            p, verdict = "", f"worse {worse:.2f}, equal {equal:.2f}, better {better:.2f}"
        else:
            p, verdict = p_as_text(row["p_holm"]), row["verdict"]
        rows.append(
            {
                "Question": asked[row["question"]].asks,
                "Data set": row["dataset"],
                "Split": row["split"],
                "Difference": shown,
                "p (Holm)": p,
                "Verdict": verdict,
            }
        )
    return pd.DataFrame(rows, columns=PRINTED)
