"""A register of a table called tiny.csv, and what becomes of its rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from drugtail.config.dataset import Dataset
from drugtail.data.prepare import prepare_dataset
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata

YES_NO = {"0": "no", "1": "yes"}
ENOUGH = [["CCO", "0"], ["CCN", "1"]]


def register(columns: dict[str, str] | None = None, **changes: Any) -> Dataset:
    return Dataset.model_validate(
        {
            "name": "tiny", "title": "t", "task": "t", "licence": "l", "citation": "c",
            "files": [{"name": "tiny.csv", "columns": [], "sources": [{"path": "my/tiny.csv"}]}],
            "columns": columns or {"smiles": "smiles", "label": "label"},
            "classes": YES_NO,
            **changes,
        }
    )  # fmt: skip


class Prepared:
    """Files that `prepare_dataset` wrote."""

    def __init__(self, folder: Path) -> None:
        self.molecules = read_parquet(folder / "molecules.parquet")
        self.header = read_parquet_metadata(folder / "molecules.parquet")
        self.rejected = pd.read_csv(folder / "rejected.csv", dtype=str, keep_default_na=False)
        self.summary = read_json(folder / "dataset.json")

    @property
    def reasons(self) -> dict[int, str]:
        return dict(zip(self.rejected["row"].astype(int), self.rejected["reason"], strict=True))


def prepare(
    folder: Path,
    rows: list[list[str]],
    dataset: Dataset | None = None,
    header: list[str] | None = None,
    workers: int = 1,
) -> Prepared:
    raw, output = folder / "raw", folder / f"out{workers}"
    raw.mkdir(exist_ok=True)
    with (raw / "tiny.csv").open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([header or ["smiles", "label"], *rows])
    prepare_dataset(dataset or register(), raw, output, workers=workers)
    return Prepared(output)
