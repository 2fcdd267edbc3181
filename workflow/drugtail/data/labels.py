"""From what stands in label columns to one class per row."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from drugtail.config.dataset import Dataset
from drugtail.config.labels import (
    JoinedLabels,
    ListLabels,
    OneHotLabels,
    SeveralLabels,
    ThresholdLabels,
)
from drugtail.data.rows import Rows
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import say

WHOLE = re.compile(r"^([-+]?\d+)\.0+$")
NUMBER = re.compile(r"^[-+]?\d+(\.\d+)?$")
# Between labels of a list, as people write them; a blank last, since names hold blanks.
LISTS = ("|", ";", ",", " ")


def read_labels(rows: Rows, dataset: Dataset) -> pd.Series:
    """Return the label of each row, and give a reason to rows without one.

    Parameters
    ----------
    rows
        The table; rows that have a reason already stay as they are.
    dataset
        The register.

    Returns
    -------
    pandas.Series
        Labels as published, spelled as declared, [N]; of rows that are not used whatever stands
        there.

    Raises
    ------
    DrugtailError
        If labels are refused: two spellings of one, several in a row, a list that is not declared.
    """
    settings = dataset.labels
    labels = READERS[settings.kind](rows, dataset, settings)
    missing = labels.isin(settings.missing)
    if dataset.classes:
        missing &= ~labels.isin(list(dataset.classes))
    rows.reject(missing, _missing(labels))
    usable = rows.reasons == ""
    labels = labels.where(~usable, _spelled(labels[usable], dataset, rows))
    if dataset.classes:
        unknown = ~labels.isin(list(dataset.classes))
        rows.reject(
            unknown, "unknown label: '" + labels + f"' is not among {', '.join(dataset.classes)}"
        )
    elif settings.kind == "class":
        _refuse_lists(labels[usable], dataset)
    return labels


def _missing(cells: pd.Series) -> pd.Series:
    """Reason of rows without a label, with the mark that stands there."""
    return ("missing label: " + cells).where(cells != "", "missing label")


# ------------------------------------------------------------------------------- each kind


def _class(rows: Rows, dataset: Dataset, settings: Any) -> pd.Series:
    return rows.table[dataset.columns.labels[0]].str.strip()


def _joined(rows: Rows, dataset: Dataset, settings: JoinedLabels) -> pd.Series:
    parts = [rows.table[column].str.strip() for column in dataset.columns.labels]
    for column, part in zip(dataset.columns.labels, parts, strict=True):
        rows.reject(part.isin(settings.missing), f"missing label: no {column}")
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + settings.separator + part
    return joined


def _list(rows: Rows, dataset: Dataset, settings: ListLabels) -> pd.Series:
    cells = _class(rows, dataset, settings)
    separator = None if settings.separator == " " else settings.separator
    parts = cells.map(
        lambda cell: [
            part.strip() for part in cell.split(separator) if part.strip() not in settings.missing
        ]
    )
    rows.reject(parts.map(len) == 0, _missing(cells))
    return _one_of(rows, parts, settings, dataset.columns.labels[0])


def _one_hot(rows: Rows, dataset: Dataset, settings: OneHotLabels) -> pd.Series:
    columns = dataset.columns.labels
    cells = rows.table[columns].apply(lambda column: column.str.strip())
    on, off = cells.isin(settings.on), cells.isin(settings.off)
    odd = ~(on | off)
    if odd.to_numpy().any():
        index = int(odd.to_numpy().any(axis=1).argmax())
        column = str(odd.loc[index].idxmax())
        raise DrugtailError(
            f"{rows.place(index)}: column {column!r} holds {cells.loc[index, column]!r}, "
            f"which says neither that the class is set ({', '.join(settings.on)}) nor that it is "
            "not; add it to labels.on or labels.off"
        )
    parts = on.apply(lambda row: [c for c, is_set in zip(columns, row, strict=True) if is_set], 1)
    rows.reject(~on.any(axis=1), "missing label: no class is set")
    return _one_of(rows, parts, settings, ", ".join(columns[:3]))


def _one_of(rows: Rows, parts: pd.Series, settings: SeveralLabels, column: str) -> pd.Series:
    """Return the one label of rows that may have several."""
    several = (parts.map(lambda found: len(set(found))) > 1) & (rows.reasons == "")
    if settings.several == "refuse" and several.any():
        index = int(several.to_numpy().argmax())
        raise DrugtailError(
            f"{rows.place(index)}: column {column!r} gives several labels "
            f"({', '.join(parts[index])}), as {int(several.sum())} rows do; say what becomes of "
            "them: `labels.several: single_only` sets them aside, `first` takes the first label"
        )
    if settings.several == "single_only":
        rows.reject(several, "several labels: " + parts.map(", ".join))
    return parts.map(lambda found: found[0] if found else "")


def _threshold(rows: Rows, dataset: Dataset, settings: ThresholdLabels) -> pd.Series:
    cells = _class(rows, dataset, settings)
    numbers = as_numbers(cells, settings.decimal)
    missing = cells.isin(settings.missing)
    if (numbers.isna() | missing).all() and as_numbers(cells, ",").notna().any():
        raise DrugtailError(
            f"{dataset.name}: column {dataset.columns.labels[0]!r} holds numbers with decimal "
            'commas; declare them: `labels: {kind: threshold, decimal: ",", …}`'
        )
    rows.reject(numbers.isna() & ~missing, "label is no number: " + cells)
    return cells.where(numbers.isna(), settings.named(numbers))


def as_numbers(cells: pd.Series, decimal: str) -> pd.Series:
    """Return cells as numbers, with that decimal mark; missing where one is no number."""
    plain = cells.str.replace(",", ".", regex=False) if decimal == "," else cells
    return pd.to_numeric(plain, errors="coerce")


READERS: dict[str, Callable[[Rows, Dataset, Any], pd.Series]] = {
    "class": _class,
    "joined": _joined,
    "list": _list,
    "one_hot": _one_hot,
    "threshold": _threshold,
}


# -------------------------------------------------------------------------------- spelling


def _spelled(labels: pd.Series, dataset: Dataset, rows: Rows) -> pd.Series:
    """Labels in one spelling each."""
    declared = list(dataset.classes or {})
    # A column of whole numbers with missing values is often written with decimals.
    labels = labels.where(labels.isin(declared), labels.str.replace(WHOLE, r"\1", regex=True))
    if dataset.labels.spelling == "keep":
        return labels
    counts = labels.value_counts()
    groups: dict[str, list[str]] = {}
    for label in sorted({*counts.index, *declared}, key=lambda one: (-counts.get(one, 0), one)):
        groups.setdefault(spelling_key(label), []).append(label)
    spelling = {}
    for spellings in groups.values():
        known = [label for label in spellings if label in declared]
        if len(spellings) == 1 or len(known) == len(spellings):
            continue
        if dataset.labels.spelling == "refuse":
            raise DrugtailError(_two_spellings(spellings, labels, counts, dataset, rows))
        chosen = (known or spellings)[0]
        others = [f"{label!r} ({counts.get(label, 0):,})" for label in spellings if label != chosen]
        say(f"{dataset.name}: {', '.join(others)} taken for {chosen!r}: spelling merge")
        spelling.update({label: chosen for label in spellings if label not in known})
    return labels.replace(spelling) if spelling else labels


def spelling_key(label: str) -> str:
    """Return a label without case, blanks and the writing of a number."""
    plain = "".join(label.casefold().split())
    return repr(float(plain)) if NUMBER.match(plain) else plain


def _two_spellings(
    spellings: list[str], labels: pd.Series, counts: pd.Series, dataset: Dataset, rows: Rows
) -> str:
    shown = []
    for label in spellings[:3]:
        found = labels.index[labels == label]
        place = (
            f"{counts[label]} rows, first in row {rows.row[found[0]]}" if len(found) else "class"
        )
        shown.append(f"{label!r} ({place})")
    return (
        f"{rows.path(rows.file.iloc[0])}: column {', '.join(dataset.columns.labels)}: labels "
        f"{' and '.join(shown)} differ in case, blanks or decimals only. Add `labels: {{spelling: "
        "merge}` to the register to take them for one class, or `spelling: keep` for two"
    )


def lists_among(labels: set[str], separator: str) -> list[str]:
    """Return labels that are lists of others of them; between blanks one alone is a name."""
    parts = {label: [part.strip() for part in label.split(separator)] for label in labels}
    lists = [label for label, one in parts.items() if len(one) > 1 and set(one) <= labels]
    return lists if len(lists) > (separator == " ") else []


def _refuse_lists(labels: pd.Series, dataset: Dataset) -> None:
    """Refuse labels that are lists of other labels, which would become classes of their own."""
    for separator in LISTS:
        lists = lists_among(set(labels), separator)
        if lists:
            example = min(lists)
            raise DrugtailError(
                f"{dataset.name}: column {dataset.columns.labels[0]!r} holds lists of labels: "
                f"{example!r}, one of {int(labels.isin(lists).sum())} such rows, is made of labels "
                f"that stand alone elsewhere. Say what becomes of them: `labels: {{kind: list, "
                f'separator: "{separator}", several: single_only}}` sets these rows aside, `first` '
                "takes the first label; or list all classes in `classes`"
            )
