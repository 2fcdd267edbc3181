"""Groups of molecules that stay on one side of a split, and their division among subsets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drugtail.config.split_name import GROUPINGS
from drugtail.runtime.errors import DrugtailError

if TYPE_CHECKING:
    import pandas as pd


def group_molecules(molecules: pd.DataFrame, grouping: str, where: str) -> NDArray[np.int64]:
    """Return the group of each molecule, 0 … G-1 in the order in which groups come, [N].

    Parameters
    ----------
    molecules
        molecules.parquet.
    grouping
        ``parent``; ``scaffold`` (molecules without a ring by their parent); ``none`` (each
        molecule for itself); or a column of the data set, where an empty cell is a group for
        itself.
    where
        Names the split in messages.

    Raises
    ------
    DrugtailError
        If the data set has no such column.
    """
    import pandas as pd

    if grouping == "none":
        return np.arange(len(molecules))
    if grouping == "parent":
        return pd.factorize(molecules["parent"])[0]
    if grouping == "scaffold":
        # One scaffold per parent, so that parents stay together whatever RDKit makes of each.
        scaffold = molecules.groupby("parent")["scaffold"].transform("first")
        key = ("scaffold " + scaffold).where(scaffold != "", "parent " + molecules["parent"])
        return pd.factorize(key)[0]
    if grouping not in molecules:
        raise DrugtailError(
            f"{where}: there is no column {grouping!r} to group by; write "
            f"{', '.join(GROUPINGS)}, or name the column in `columns.group` of the register"
        )
    key = molecules[grouping].astype(str)
    alone = pd.Series([f"row {i}" for i in range(len(key))], index=key.index)
    return pd.factorize(("value " + key).where(key != "", alone))[0]


def group_labels(molecules: pd.DataFrame) -> NDArray[np.int64]:
    """Return the class that each group counts as: the rarest one of its molecules, [G]."""
    labels = molecules["label"].to_numpy()
    sizes = np.bincount(labels)
    # Sorted by group, then by how rare the class is: the first row of each group is wanted.
    order = np.lexsort((labels, sizes[labels], molecules["group"].to_numpy()))
    first = np.flatnonzero(np.diff(molecules["group"].to_numpy()[order], prepend=-1))
    return np.asarray(labels[order][first], dtype=np.int64)


def taken(order: Sequence[int], sizes: NDArray[np.int64], quota: int) -> list[int]:
    """Return the groups that fill a quota of molecules: in order, those that still fit.

    Where none fits, the smallest is taken.
    """
    found, total = [], 0
    for group in order:
        if total + sizes[group] <= quota:
            found.append(group)
            total += sizes[group]
            if total == quota:
                break
    return found or [min(order, key=lambda group: sizes[group])]
