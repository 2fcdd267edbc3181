"""Whether methods reach what was wanted of them before they were trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.table import Criterion, Table
from drugtail.evaluation.criterion import METRIC, judge
from drugtail.evaluation.head_and_tail import HEAD, TAIL
from drugtail.evaluation.settings import tuned_name
from drugtail.report.table_notes import encoder_notes, left_out_notes, notes_on_runs
from drugtail.report.table_rows import UNDEFINED, p_as_text, runs_of
from drugtail.report.tables import TABLE_KINDS, Contents
from drugtail.runtime.parquet import read_parquet

PRINTED = [
    "Method", "Data set", "Split", "Best baseline", "Difference", "p (Holm)", "Verdict", "Tail",
    "Head", "Reached",
]  # fmt: skip
NOTE = (
    "Reached on a data set: balanced accuracy is better than that of each of {baselines}, tail "
    "recall is at least {tail:g} points above that of the best of them, and head recall at most "
    "{head:g} points below it ({two:g} with two classes). The best is the one with the highest "
    "mean on test molecules. Difference: mean over splits, in brackets its 95 % interval "
    "(corrected resampled t). p: the largest of those against each, corrected with Holm's method "
    "over all rows."
)


@TABLE_KINDS.register("criterion")
def criterion(metrics: Path, table: Table, reference: str) -> Contents:
    """Candidates against the best of the baselines on each data set, and how many they reach."""
    wanted = table.criterion
    assert wanted is not None
    frame, _ = runs_of(metrics, table, [METRIC, HEAD, TAIL])
    finished = frame[frame["status"] == "finished"]
    rows = {
        key: [tuned_name(finished, name) for name in getattr(wanted, key)]
        for key in ("candidates", "baselines")
    }
    classes = read_parquet(metrics / "class_metrics.parquet")
    found = judge(
        finished,
        wanted.model_copy(update=rows),
        classes.groupby("dataset")["label"].nunique().to_dict(),
    )
    missing = int((frame["status"] != "finished").sum())
    note = NOTE.format(
        baselines=" and ".join(wanted.baselines),
        tail=wanted.tail_gain,
        head=wanted.head_loss,
        two=wanted.head_loss_two_classes,
    )
    notes = [
        *_outcomes(found, wanted),
        note,
        *([f"Gaps: {missing} runs are not finished."] if missing else []),
        *encoder_notes(frame),
        *left_out_notes(metrics, table),
        *notes_on_runs(metrics, frame),
    ]
    return Contents(found, _printed(found), notes)


def _outcomes(found: pd.DataFrame, wanted: Criterion) -> list[str]:
    """Say on how many data sets each candidate reaches the criterion, and what was wanted."""
    several = found["kind"].nunique() > 1
    notes = []
    for (candidate, kind), rows in found.groupby(["candidate", "kind"], sort=False):
        name = f"{candidate} ({kind})" if several else candidate
        reached = int(rows["reached"].sum())
        outcome = "success" if reached >= wanted.datasets else "no success"
        notes.append(
            f"{name}: {outcome}; reached on {reached} of {len(rows)} data sets, wanted "
            f"on {wanted.datasets}."
        )
    return notes


def _printed(found: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in found.to_dict("records"):
        difference, low, high, tail, head = (
            UNDEFINED if np.isnan(row[name]) else f"{100 * row[name]:+.1f}"
            for name in ("difference", "low", "high", "tail", "head")
        )
        interval = "" if np.isnan(row["low"]) else f" [{low}, {high}]"
        rows.append(
            {
                "Method": row["candidate"],
                "Data set": row["dataset"],
                "Split": row["split"],
                "Best baseline": row["best"] or UNDEFINED,
                "Difference": difference + interval,
                "p (Holm)": p_as_text(row["p_holm"]),
                "Verdict": row["verdict"],
                "Tail": tail,
                "Head": head,
                "Reached": "yes" if row["reached"] else "no",
            }
        )
    return pd.DataFrame(rows, columns=PRINTED)
