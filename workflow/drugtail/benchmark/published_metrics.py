"""Metrics of a published benchmark: what its tables are made of, in little room."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from drugtail.config.table import KINDS, Table
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet

RUNS, CLASSES = "runs.parquet", "class_metrics.parquet"
ALL, NEW_PARENTS = "test_", "test_new_parents_"
# Metrics of a class that follow from the predicted classes beside them.
FOLLOWING = ["precision", "f1", "balanced_f1"]
# Key of a header: columns that are left out because they repeat those of all test molecules.
REPEATED = "repeated"


def write_metrics(collected: Path, output: Path, tables: Collection[Table]) -> None:
    """Copy metrics of runs, and of classes on test molecules, into a new folder.

    Metrics on validation molecules are left out where no table is about them. Where the parents of
    all test molecules are new, their metrics stand there once; `read_metrics` puts them back.
    """
    output.mkdir()
    # Their headers say what is below tables.
    runs, header = read_parquet(collected / RUNS), read_parquet_metadata(collected / RUNS)
    repeated = [new for new in _of_new_parents(runs) if runs[new].equals(runs[_of_all(new)])]
    header[REPEATED] = sorted({*header.get(REPEATED, []), *repeated})
    unused = () if any(map(_may_be_about_validation, tables)) else ("valid_",)
    runs = runs.drop(columns=[*repeated, *(c for c in runs if str(c).startswith(unused))])
    write_parquet(output / RUNS, runs, header, compact=True)

    classes = read_parquet(collected / CLASSES)
    if len(classes):
        classes = classes[classes["subset"] == "test"].drop(columns=FOLLOWING, errors="ignore")
    header = read_parquet_metadata(collected / CLASSES)
    write_parquet(output / CLASSES, classes, header, compact=True)


def read_metrics(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a file that `write_metrics` wrote, and its header, with what stood in it twice."""
    frame, header = read_parquet(path), read_parquet_metadata(path)
    again = {column: frame[_of_all(column)] for column in header.pop(REPEATED, [])}
    return frame.assign(**again), header


def _may_be_about_validation(table: Table) -> bool:
    # A kind of your own may read what it likes.
    return "valid" in table.subsets or table.kind not in KINDS


def _of_new_parents(runs: pd.DataFrame) -> list[str]:
    return [str(column) for column in runs if str(column).startswith(NEW_PARENTS)]


def _of_all(column: str) -> str:
    return column.replace(NEW_PARENTS, ALL, 1)
