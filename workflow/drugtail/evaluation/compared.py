"""Classes that means are taken over: those that every split of a data set tests.

A class that is too rare to stand in the test part of every split would make the means of two splits
means over different things.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drugtail.evaluation.evaluate import EVALUATED, NEW_PARENTS
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata

Masks = dict[str, NDArray[np.bool_]]
# Names in a message or below a table.
SHOWN = 10


class Compared:
    """The classes of one data set that all of some splits have.

    Parameters
    ----------
    predictions
        ``predictions.parquet`` of one block of each split.

    Attributes
    ----------
    masks : dict
        Each of `EVALUATED` -> which classes have molecules there in every split, bool [C]; splits
        without any molecule there do not count.
    uneven : bool
        Whether some split has more classes than all have.
    """

    def __init__(self, predictions: list[Path]) -> None:
        self.names: list[str] = read_parquet_metadata(predictions[0])["class_names"]
        found = [_present(path, len(self.names)) for path in predictions]
        self.masks: Masks = {}
        self.uneven = False
        for subset in EVALUATED:
            each = [one[subset] for one in found if one[subset].any()]
            common = np.logical_and.reduce(each) if each else np.zeros(len(self.names), dtype=bool)
            self.masks[subset] = common
            self.uneven |= any((one != common).any() for one in each)

    def left_out(self) -> dict[str, list[str]]:
        """Return subset -> names of the classes that means over classes leave out."""
        return {
            subset: [name for name, kept in zip(self.names, mask, strict=True) if not kept]
            for subset, mask in self.masks.items()
            if mask.any() and not mask.all()
        }


def _present(predictions: Path, classes: int) -> Masks:
    """Return which classes have molecules in each of `EVALUATED`, bool [C]."""
    frame = read_parquet(predictions, ["subset", "label", "new_parent"])
    tested = frame["subset"] == "test"
    parts = {"valid": frame["subset"] == "valid", "test": tested}
    parts[NEW_PARENTS] = tested & frame["new_parent"].astype(bool)
    counted = {
        subset: np.bincount(frame.loc[rows, "label"].astype(int), minlength=classes)
        for subset, rows in parts.items()
    }
    return {subset: counts > 0 for subset, counts in counted.items()}


def note_on(left_out: Mapping[str, Mapping[str, list[str]]], subset: str) -> str | None:
    """Say which classes the means of a table leave out; None if there are none.

    Parameters
    ----------
    left_out
        Data set -> what `Compared.left_out` gives.
    subset
        Subset that the table is of.
    """
    parts = []
    for dataset, by_subset in left_out.items():
        names = by_subset.get(subset, [])
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            parts.append(f"of {dataset} {len(names)}: {', '.join(names[:SHOWN])}{more}")
    if not parts:
        return None
    return f"Means over classes leave out classes that not every split has ({'; '.join(parts)})."
