"""Predicted classes of test molecules in one small table, and what follows from them alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.names import DEFAULT, method_label
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata

PREDICTIONS = "predictions.parquet"
MOLECULE = ["dataset", "split", "id", "label"]
TEST = "test"


def run_name(encoder: str, label: str, seed: int) -> str:
    """Column of a run; `label` is the method's name, of tuned runs with ``+tuned``."""
    return f"{encoder}/{label}/{seed}"


def parse_run_name(column: str) -> tuple[str, str, int]:
    """Encoder, label and seed of a column that `run_name` named."""
    encoder, label, seed = column.split("/")
    return encoder, label, int(seed)


def predicted_classes(predictions: Sequence[Path]) -> pd.DataFrame:
    """Put the predicted class of every test molecule by every run into one table.

    Parameters
    ----------
    predictions
        ``predictions.parquet`` of blocks.

    Returns
    -------
    pandas.DataFrame
        One row per test molecule and split: ``dataset``, ``split``, ``id``, ``label`` (the true
        class) and a column per run (`run_name`), whole numbers of one byte, or of two where there
        are more than 256 classes; missing where a run did not predict the molecule.
    """
    parts: dict[tuple[str, str], pd.DataFrame] = {}
    for path in predictions:
        header = read_parquet_metadata(path)
        frame = read_parquet(path)
        frame = frame[frame["subset"] == TEST]
        small: Any = "UInt8" if len(header["class_names"]) <= 256 else "UInt16"
        label = method_label(header["method"], header.get("settings", DEFAULT))
        key = header["dataset"], header["split"]
        for seed, rows in frame.groupby("seed", sort=True):
            logits = rows.filter(like="logit_").to_numpy()
            if key not in parts:
                parts[key] = pd.DataFrame(
                    {"id": rows["id"].to_numpy(), "label": rows["label"].astype(small).to_numpy()}
                )
            table = parts[key]
            if not np.array_equal(table["id"].to_numpy(), rows["id"].to_numpy()):
                raise DrugtailError(
                    f"{path}: its test molecules are not those of the other blocks of "
                    f"{'/'.join(key)}; train it again"
                )
            column = run_name(header["encoder"], label, int(str(seed)))
            table[column] = pd.array(logits.argmax(axis=1), dtype=small)
    tables = [
        table.assign(dataset=dataset, split=split) for (dataset, split), table in parts.items()
    ]
    if not tables:
        return pd.DataFrame(columns=MOLECULE)
    joined = pd.concat(tables, ignore_index=True)
    return joined[[*MOLECULE, *(column for column in joined if column not in MOLECULE)]]


def recalls(table: pd.DataFrame) -> pd.DataFrame:
    """Recall of every class by every run, from a table of `predicted_classes`.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``split``, ``encoder``, ``method`` (the label), ``seed``, ``label``, ``n``
        (test molecules) and ``recall``.
    """
    rows = []
    for column in table.columns.difference(MOLECULE, sort=False):
        encoder, label, seed = parse_run_name(column)
        known = table[table[column].notna()]
        hits = known[column] == known["label"]
        grouped = hits.groupby([known["dataset"], known["split"], known["label"]], sort=False)
        found = grouped.agg(n="size", recall="mean").reset_index()
        rows.append(found.assign(encoder=encoder, method=label, seed=seed))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
