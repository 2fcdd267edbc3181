"""Recall of each class, with the interval of a share of distinct test parents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.split_name import parse_split
from drugtail.config.table import Table
from drugtail.evaluation.settings import tuned_name, with_tuned_names
from drugtail.evaluation.statistics import LEVEL, ROW, kind_of, named_splits
from drugtail.report.table_notes import settings_notes
from drugtail.report.table_rows import UNDEFINED, with_settings
from drugtail.report.tables import TABLE_KINDS, Contents
from drugtail.runtime.parquet import read_parquet

COLUMNS = [*ROW, "label", "label_name", "group", "n_train", "parents", "recall", "low", "high"]
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
    found = with_settings(class_recalls(frame), "method", frame)
    return Contents(found, _printed(found), [NOTE, *settings_notes(frame)])


def class_recalls(tested: pd.DataFrame) -> pd.DataFrame:
    """Return the recall of each class over the splits of each kind.

    Parameters
    ----------
    tested
        Rows of ``class_metrics.parquet`` on test molecules.

    Returns
    -------
    pandas.DataFrame
        `ROW`, ``label``, ``label_name``, ``group`` (where splits differ in it, the most frequent),
        ``n_train`` (mean over splits), ``parents`` (distinct ones tested: of a cross-validation
        those of a repetition, else those of the split that tests most), ``recall``, ``low`` and
        ``high``. Runs that were evaluated before parents were counted have molecules there.
    """
    from statsmodels.stats.proportion import proportion_confint

    frame = tested.assign(
        kind=tested["split"].map(kind_of), repetition=tested["split"].map(_repetition)
    )
    if "parents" not in frame:
        frame["parents"] = frame["n"]
    rows = []
    keys = ["dataset", "kind", "encoder", "method", "label"]
    for (dataset, _, encoder, method, label), group in frame.groupby(keys, sort=False):
        once = group.drop_duplicates("split")
        parents = int(once.groupby("repetition")["parents"].sum().max())
        known = group.dropna(subset="recall")
        number = known["n"].sum()
        recall = float((known["recall"] * known["n"]).sum() / number) if number else np.nan
        low, high = (
            proportion_confint(recall * parents, parents, alpha=1 - LEVEL, method="wilson")
            if parents and number
            else (np.nan, np.nan)
        )
        rows.append(
            {
                "dataset": dataset,
                "split": named_splits(group["split"]),
                "encoder": encoder,
                "method": method,
                "label": label,
                "label_name": group["label_name"].iloc[0],
                "group": once["group"].mode().iloc[0],
                "n_train": once["n_train"].mean(),
                "parents": parents,
                "recall": recall,
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)


def _repetition(split: str) -> str:
    """Return what folds are of: of ``cv-2-3`` ``cv-2``; any other split is one of its own."""
    name = parse_split(split)
    return str(name._replace(fold=None))


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
