"""The published split of a data set, as its source gives it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.dataset import Dataset, OfficialSubsets
from drugtail.data.reaction_smiles import canonical_reactions
from drugtail.data.rows import Rows
from drugtail.data.tables import read_table
from drugtail.runtime.errors import DrugtailError

WORDS = {
    "train": ("train", "training", "tr", "trn", "fit"),
    "valid": ("valid", "val", "validation", "validate", "dev", "development", "tune", "tuning"),
    "test": ("test", "testing", "tst", "te", "ts", "external", "externaltest", "holdout", "heldout",
             "hold", "eval", "evaluation"),
}  # fmt: skip
SUBSET_OF = {word: subset for subset, words in WORDS.items() for word in words}


def official_subsets(
    rows: Rows, dataset: Dataset, reactions: pd.Series | None, workers: int
) -> pd.Series | None:
    """Return the published subset of each row, [N]; None if the source published no split.

    Parameters
    ----------
    rows
        The table; rows with an unknown subset get a reason.
    dataset
        The register.
    reactions
        Canonical reaction of each row, where the molecules come from reactions.
    workers
        Processes for parsing.
    """
    if dataset.columns.split is not None:
        cells = rows.table[dataset.columns.split]
        subsets = cells.map(subset_of)
        blank = cells.str.strip() == ""
        said = ("unknown subset in the split column: " + cells).where(
            ~blank, "no subset in the split column"
        )
        rows.reject(subsets.isna(), said)
        return subsets
    if dataset.official is not None:
        assert reactions is not None
        return _of_reactions(reactions, dataset.official, rows.folder, dataset, workers)
    if dataset.has_official:
        rows.reject(rows.subset == "unassigned", "its file is no part of the published split")
        return rows.subset
    return None


def subset_of(word: str) -> str | None:
    """Return the subset that a word means: "Training set", "dev", "External Test"; else None."""
    plain = "".join(letter for letter in word.casefold() if letter.isalpha())
    return SUBSET_OF.get(plain.removesuffix("set").removesuffix("split")) or SUBSET_OF.get(plain)


def _of_reactions(
    reactions: pd.Series, official: OfficialSubsets, raw: Path, dataset: Dataset, workers: int
) -> pd.Series:
    """Find the reactions of the published subsets in the table; the rest is the training set.

    A reaction that occurs several times is used up row by row, in order, so that every published
    validation and test row finds a row of its own.
    """
    waiting: dict[str, list[int]] = {}
    for index, reaction in reactions.items():
        waiting.setdefault(str(reaction), []).append(int(str(index)))
    for queue in waiting.values():
        queue.reverse()
    subsets = pd.Series("train", index=reactions.index)
    layouts = {file.name: file for file in dataset.files}
    for subset, name in (("valid", official.valid), ("test", official.test)):
        table = read_table(raw / name, [official.reaction], layouts[name])
        found = canonical_reactions(table[official.reaction], workers)
        for number, reaction in enumerate(found, start=1):
            queue = waiting.get(reaction or "", [])
            if not queue:
                raise DrugtailError(
                    f"{raw / name}: row {number}: this reaction is not in the table of the data "
                    "set; the two files do not belong together"
                )
            subsets[queue.pop()] = subset
    return subsets
