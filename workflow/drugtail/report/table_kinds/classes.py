"""Recall of each class, with the interval of a share of distinct test parents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.class_recalls import class_recalls
from drugtail.evaluation.settings import tuned_name, with_tuned_names
from drugtail.report.table_notes import settings_notes
from drugtail.report.table_rows import UNDEFINED, with_settings
from drugtail.report.tables import TABLE_KINDS, Contents
from drugtail.runtime.parquet import read_parquet

NOTE = (
    "Recall over all test molecules of a class, splits and seeds together, in brackets Wilson's "
    "95 % interval for as many distinct parent compounds as are tested: repetitions of a "
    "cross-validation, seeds and molecules of one parent add none. It speaks of molecules that "
    "were not drawn, not of other splits."
)


@TABLE_KINDS.register("classes")
def classes(metrics: Path, table: Table, reference: str) -> Contents:
    """Recall of each class, with Wilson's interval; of one method if the table names one."""
    frame = with_tuned_names(read_parquet(metrics / "class_metrics.parquet"))
    frame = frame[frame["subset"] == "test"]
    if table.method is not None:
        frame = frame[frame["method"] == tuned_name(frame, table.method)]
    found = with_settings(class_recalls(frame).drop(columns="kind"), "method", frame)
    return Contents(found, _printed(found), [NOTE, *settings_notes(frame)])


def _printed(found: pd.DataFrame) -> pd.DataFrame:
    recall = [
        UNDEFINED
        if np.isnan(row["recall"])
        else f"{100 * row['recall']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        for row in found.to_dict("records")
    ]
    printed = pd.DataFrame(
        {
            "Data set": found["dataset"],
            "Split": found["split"],
            "Method": found["method"],
            "Class": found["label_name"],
            "Group": found["group"],
            "Trained on": [f"{n:.0f}" for n in found["n_train"]],
            "Tested parents": found["parents"].astype(str),
            "Recall": recall,
        }
    )
    if "settings" in found:
        printed.insert(3, "Settings", found["settings"])
    if found["encoder"].nunique() > 1:
        printed.insert(3, "Encoder", found["encoder"])
    return printed
