"""Treatment of repeats, conflicts, rare classes and thinned ones, as a register declares."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.config.dataset import OTHER, Dataset, Sample, Thin
from drugtail.data.rows import Rows
from drugtail.runtime.logging import counted, say
from drugtail.runtime.seeds import derive_seed

# Reasons that do not say something is wrong with a row, by what stands before the colon.
MERGED = ("repeats a molecule", "repeats a value")
LEFT_OUT = ("filtered out", "not sampled", "rare class", "thinned out")


def outcome(reason: str) -> str:
    """Return what a reason means for a row: merged, left out or rejected."""
    if reason.startswith(MERGED):
        return "merged"
    return "left out" if reason.startswith(LEFT_OUT) else "rejected"


def count_repeats(molecules: pd.DataFrame) -> dict[str, int]:
    """Return how often molecules and parents repeat.

    Parameters
    ----------
    molecules
        Columns ``smiles``, ``parent`` and ``published`` (the label).
    """
    found = {}
    for key, named in (("smiles", "molecule"), ("parent", "parent")):
        labels = molecules.groupby(key)["published"].nunique()
        found[f"distinct_{named}s"] = int(labels.size)
        found[f"rows_that_repeat_a_{named}"] = int(len(molecules) - labels.size)
        found[f"{named}s_with_several_classes"] = int((labels > 1).sum())
    return found


def apply_policies(rows: Rows, molecules: pd.DataFrame, dataset: Dataset) -> None:
    """Give a reason to rows that a declared policy sets aside, and merge rare classes.

    Parameters
    ----------
    rows
        The table; the reasons are written there.
    molecules
        A row per row of the table: ``smiles``, ``parent`` and ``published``; merged classes are
        written there.
    dataset
        The register.
    """
    if dataset.one_row_per is not None:
        column = rows.table[dataset.one_row_per].str.strip()
        named = column[(rows.reasons == "") & (column != "")]
        repeated = named.index[named.duplicated()]
        said = f"repeats a value of {dataset.one_row_per}: " + column
        rows.reject(np.isin(column.index, repeated), said)
    key = molecules[dataset.identity]
    if dataset.conflicts == "drop":
        labels = molecules["published"].where(rows.reasons == "")
        rows.reject(labels.groupby(key).transform("nunique") > 1, "conflicting labels")
    if dataset.duplicates == "drop":
        pairs = pd.DataFrame({"key": key, "label": molecules["published"]})[rows.reasons == ""]
        repeated = pairs.index[pairs.duplicated()]
        rows.reject(np.isin(rows.table.index, repeated), "repeats a molecule")
    if dataset.sample is not None:
        before = set(molecules["published"][rows.reasons == ""])
        _draw_sample(rows, dataset.sample, dataset.name)
        lost = sorted(before - set(molecules["published"][rows.reasons == ""]))
        if lost:
            shown = ", ".join(lost[:5]) + (", …" if len(lost) > 5 else "")
            few = f"{counted(len(lost), 'class')}: {shown}"
            say(f"{dataset.name}: the sample has no molecule of {few}")
    _set_rare_apart(rows, molecules, dataset)
    if dataset.thin is not None:
        used = molecules["published"][rows.reasons == ""]
        kept = thinned(used, dataset.thin, dataset.name)
        rows.reject(~np.isin(rows.table.index, kept), "thinned out")


def is_of_sample(reasons: pd.Series, molecules: pd.DataFrame, dataset: Dataset) -> pd.Series:
    """Return which rows belong to the sample, with those that repeat a molecule of it.

    Parameters
    ----------
    reasons
        What `apply_policies` left of each row.
    molecules
        A row per row of the table, as `apply_policies` was given them.
    dataset
        The register; without a sample, all rows belong to it. Rows of conflicting labels that are
        dropped belong to no sample.
    """
    if dataset.sample is None:
        return pd.Series(True, reasons.index)
    # Rare classes are set apart and classes thinned after the draw.
    drawn = (reasons == "") | reasons.str.startswith(("rare class", "thinned out"))
    # Compared as duplicates are: a repeat follows the row that it repeats.
    pair = pd.MultiIndex.from_frame(molecules[[dataset.identity, "published"]])
    return drawn | reasons.str.startswith(MERGED) & pair.isin(pair[drawn])


def _draw_sample(rows: Rows, sample: Sample, dataset: str) -> None:
    """Leave out all rows but those drawn."""
    usable = np.flatnonzero(rows.reasons == "")
    if len(usable) <= sample.molecules:
        say(
            f"{dataset}: sample of {sample.molecules:,}: there are {len(usable):,} molecules, "
            "so all are kept"
        )
        return
    rng = np.random.default_rng(derive_seed("sample", dataset, sample.seed))
    aside = np.zeros(len(rows), bool)
    aside[rng.permutation(usable)[sample.molecules :]] = True
    rows.reject(aside, "not sampled")


def _set_rare_apart(rows: Rows, molecules: pd.DataFrame, dataset: Dataset) -> None:
    """Leave out classes that are too small, or merge them."""

    def rare() -> pd.Series:
        counts = molecules["published"][rows.reasons == ""].value_counts()
        small = counts.index[counts < dataset.minimum_class_size]
        return molecules["published"].isin(small) & (rows.reasons == "")

    if dataset.minimum_class_size > 1:
        if dataset.rare_classes == "merge":
            molecules.loc[rare(), "published"] = OTHER
        few = f"rare class (fewer than {dataset.minimum_class_size} molecules): "
        rows.reject(rare(), few + molecules["published"])


def thinned(labels: pd.Series, thin: Thin, dataset: str) -> NDArray[np.int64]:
    """Return the rows that a thinned data set keeps; see `Thin`.

    Parameters
    ----------
    labels
        Class of each row.
    thin
        Shape, ratio and seed.
    dataset
        Name of the data set, which the choice depends on.
    """
    counts = labels.value_counts()
    # Equal sizes by name, so that the order is one.
    order = sorted(counts.index, key=lambda label: (-counts[label], str(label)))
    sizes = tail_sizes(int(counts.max()), len(order), thin)
    rng = np.random.default_rng(derive_seed("thin", dataset, thin.tail, thin.seed))
    kept = []
    for label, size in zip(order, sizes, strict=True):
        members = labels.index[labels == label].to_numpy()
        kept.append(rng.permutation(members)[:size])
    return np.sort(np.concatenate(kept))


def tail_sizes(largest: int, classes: int, thin: Thin) -> list[int]:
    """Return the size of each class, largest first; no class is empty."""
    if classes < 2:
        return [largest] * classes
    rank = np.arange(classes)
    if thin.tail == "exponential":
        shares = thin.ratio ** (-rank / (classes - 1))
    else:
        shares = (rank + 1.0) ** (-np.log(thin.ratio) / np.log(classes))
    return [max(1, round(largest * share)) for share in shares.tolist()]
