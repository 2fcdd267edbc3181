"""The digest by which a split is known, of its content, and reading a split by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from drugtail.runtime.digest import text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata


def split_digest(table: pd.DataFrame) -> str:
    """Return the SHA-256 of a split's columns ``id`` and ``subset``, written as CSV."""
    return text_digest(table[["id", "subset"]].to_csv(index=False))


def read_facts(molecules: Path) -> dict[str, Any]:
    """Return what the header of ``molecules.parquet`` says of the data set.

    Raises
    ------
    DrugtailError
        If it says nothing, as of a file that something else has written.
    """
    facts = read_parquet_metadata(molecules)
    if not {"dataset", "class_names"} <= set(facts):
        raise DrugtailError(
            f"{molecules}: does not say which data set and classes it is of, as what `drugtail "
            "prepare` wrote does; prepare the data set again"
        )
    return facts


def read_split(split: Path, ids: pd.Series, molecules: Path) -> pd.Series:
    """Return the subset of each molecule.

    Parameters
    ----------
    split
        The split's Parquet file.
    ids
        Ids of the molecules that it must be of.
    molecules
        Where these were read, for messages.

    Raises
    ------
    DrugtailError
        If the split was edited, or is of other molecules.
    """
    table = read_parquet(split, ["id", "subset"])
    digest, said = split_digest(table), read_parquet_metadata(split).get("sha256")
    if digest != said:
        raise DrugtailError(
            f"{split}: its content has SHA-256 {digest[:16]}…, its header says "
            f"{f'{said[:16]}…' if said else 'none'}: it was edited; delete it and split anew"
        )
    if not ids.equals(table["id"]):
        raise DrugtailError(
            f"{split}: its molecules are not those of {molecules}; run `drugtail split` again"
        )
    return table["subset"]
