"""Inspection of a table: what it would be taken for, and a register to start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rdkit import rdBase

from drugtail.config.base import validated
from drugtail.config.labels import MISSING_MARKS, OneHotLabels, ThresholdLabels
from drugtail.config.layout import Layout
from drugtail.data.formats.delimited import NAMES, found_separator
from drugtail.data.identity import INCHI_KEY, identify
from drugtail.data.labels import LISTS, as_numbers, lists_among, spelling_key
from drugtail.data.official import subset_of
from drugtail.data.table_format import decoded
from drugtail.data.tables import FOUND, read_table, recognised, unpacked
from drugtail.runtime.errors import DrugtailError

# Cells by which a column is recognised.
LOOK = 200
MOST_CLASSES = 1_000
# Different numbers with decimals that may still be names of classes, such as doses.
MOST_DECIMALS = 5
# UTF-16 is known by its mark; without one any bytes would pass for it. Windows' cp1252 has signs
# where latin-1 has none.
ENCODINGS = (None, "latin-1", "cp1252")
LABEL_WORDS = (
    "label", "class", "activity", "active", "target", "category", "outcome", "type", "moa",
    "mechanism", "taste", "y",
)  # fmt: skip
ID_WORDS = ("id", "name", "identifier", "compound", "molecule", "drug", "title", "code", "cas")
ONE_HOT = OneHotLabels(kind="one_hot")


@dataclass
class Inspection:
    """Findings about a table.

    Attributes
    ----------
    path : Path
        The file.
    layout : Layout
        What has to be declared of it.
    format : str
        Name of its format.
    table : pandas.DataFrame
        Its cells as text.
    columns : dict
        Keys of `drugtail.config.dataset.Columns` -> columns, as far as found.
    labels : dict
        Keys of `drugtail.config.labels`, as far as they differ from the default.
    tasks : list of str
        Columns that are a question each.
    remarks : list of str
        What the user should know.
    sizes : pandas.Series
        Rows per class, largest first.
    numbers : int
        Different numbers in the column of labels, if it holds measurements; else 0.
    molecules : int or None
        Cells that are molecules or reactions, of those that were read; None before.
    """

    path: Path
    layout: Layout
    format: str
    table: pd.DataFrame
    columns: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, Any] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    sizes: Any = field(default_factory=lambda: pd.Series(dtype=int))
    numbers: int = 0
    molecules: int | None = None


def inspect_table(
    path: Path,
    smiles: str | None = None,
    label: str | None = None,
    layout: Layout = FOUND,
    *,
    above: float | None = None,
    below: float | None = None,
) -> Inspection:
    """Look at a table: how it is written, what its columns hold, what is odd about it.

    Parameters
    ----------
    path
        The file, of any format that `drugtail.data.tables.read_table` reads.
    smiles, label
        Columns, where the user knows better.
    layout
        What the user declares of the table.
    above, below
        Where the numbers of `label` are cut into two classes, if they are.

    Raises
    ------
    DrugtailError
        If it is no table, or `smiles` or `label` is no column of it.
    """
    # RDKit explains every cell that is no molecule on standard error.
    with rdBase.BlockLogs():
        cut = {"above": above, "below": below}
        return _inspected(_read(path, layout), smiles, label, cut)


def _inspected(
    found: Inspection, smiles: str | None, label: str | None, cut: dict[str, float | None]
) -> Inspection:
    for name in filter(None, (smiles, label)):
        if name not in found.table:
            raise DrugtailError(
                f"{found.path}: has no column {name!r}; it has: "
                f"{', '.join(map(str, found.table.columns))}"
            )
    _find_molecules(found, smiles)
    _find_labels(found, label)
    _cut_numbers(found, {key: value for key, value in cut.items() if value is not None})
    _find_others(found)
    return found


# ---------------------------------------------------------------------------------- reading


def _read(path: Path, given: Layout) -> Inspection:
    """Read a table, with the encoding that fits and with or without a header."""
    content = unpacked(path)
    name = recognised(content, path)
    layout, frame = given, None
    encodings = (given.encoding,) if given.encoding else ENCODINGS
    for encoding in encodings:
        try:
            layout = given.model_copy(update={"encoding": encoding})
            frame = read_table(path, layout=layout)
            break
        except DrugtailError as error:
            another = "text: line" in str(error) or "control character" in str(error)
            if encoding == encodings[-1] or not another:
                raise
    assert frame is not None
    found = Inspection(path, layout, name, frame)
    if name in ("delimited", "smi") and _is_molecule(*map(str, frame.columns[:3])):
        width = len(frame.columns)
        header = ["smiles", *(f"column{i}" for i in range(2, width + 1))]
        place = next(i for i, one in enumerate(frame.columns) if _is_molecule(str(one)))
        header[0], header[place] = header[place], header[0]
        found.layout = layout.model_copy(update={"header": header})
        found.table = read_table(path, layout=found.layout)
        found.remarks.append("it has no header: its first row is a molecule, so columns are named")
    if name == "smi" and found.layout.header is None:
        lines = decoded(content, layout, path).splitlines()
        width = Counter(len(line.split()) for line in lines if line.strip()).most_common(1)[0][0]
        if width > 2:
            header = ["smiles", "name", *(f"column{i}" for i in range(3, width + 1))]
            found.layout = layout.model_copy(update={"header": header})
            found.table = read_table(path, layout=found.layout)
            found.remarks.append(f"it has no header, and {width} words in most lines")
    if name == "delimited":
        text = decoded(content, layout, path)
        separator = layout.separator or found_separator(text, [])
        found.remarks.insert(0, f"cells are separated by {NAMES.get(separator, separator)}")
    if layout.encoding and not given.encoding:
        found.remarks.insert(0, f"it is not UTF-8 but reads as {layout.encoding}")
    return found


def _is_molecule(*texts: str) -> bool:
    """Return whether a header cell is a molecule of some size; words such as CN are none."""
    return any(len(text) > 5 and not text.isalpha() and not identify(text).reason for text in texts)


# ---------------------------------------------------------------------------------- columns


def values_of(found: Inspection, column: str) -> pd.Series:
    """Cells of a column that hold a value."""
    cells = found.table[column].str.strip()
    return cells[~cells.isin(MISSING_MARKS)]


def _look(cells: pd.Series) -> list[str]:
    """Some cells from everywhere in a column."""
    step = max(1, len(cells) // LOOK)
    return [str(cell) for cell in cells.iloc[::step][:LOOK]]


def _find_molecules(found: Inspection, given: str | None) -> None:
    shares = {}
    for column in [given] if given else found.table.columns:
        cells = _look(values_of(found, str(column)))
        if not cells:
            continue
        if np.mean([cell.count(">") == 2 for cell in cells]) > 0.8:
            found.columns["reaction"] = str(column)
            found.remarks.append(
                f"{column} holds reactions: the product is classified; `reaction: {{use: "
                "reaction}` takes the whole, with an encoder such as reaction_mlp"
            )
            return
        # Numbers and short words, such as CN or N, are molecules by chance.
        called = str(column).lower() == "smiles"
        long = 1.0 if called else np.mean([len(cell) > 4 for cell in cells])
        good = np.mean([not identify(cell).reason for cell in cells])
        shares[str(column)] = good * long + 0.05 * ("smiles" in str(column).lower())
        if np.mean([INCHI_KEY.fullmatch(cell) is not None for cell in cells]) > 0.8:
            found.remarks.append(
                f"{column} holds InChIKeys, from which no structure can be read; a database that "
                "has them gives SMILES for them"
            )
    best = max(shares, key=lambda name: shares[name], default=None)
    if best is None or (shares[best] < 0.4 and not given):
        found.remarks.append("no column holds molecules as SMILES or InChI; name it with --smiles")
        return
    found.columns["smiles"] = best
    others = [name for name, share in shares.items() if name != best and share > 0.7]
    if others:
        found.remarks.append(
            f"{', '.join(others)} {'hold' if len(others) > 1 else 'holds'} molecules, too; "
            "--smiles takes another column"
        )


def _find_labels(found: Inspection, given: str | None) -> None:
    taken = set(found.columns.values())
    rows = len(found.table)
    scores = {}
    binary = []
    for column in map(str, found.table.columns):
        if column in taken or column == "":
            continue
        cells = values_of(found, column)
        distinct = cells.nunique()
        if _is_split(cells):
            continue
        if distinct == 2 and set(cells) <= {*ONE_HOT.on, *ONE_HOT.off}:
            binary.append(column)
        if 2 <= distinct <= min(MOST_CLASSES, max(2, rows // 3)):
            words = [word for word in LABEL_WORDS if _has_word(column, word)]
            named = 1.0 - LABEL_WORDS.index(words[0]) / 100 if words else 0.0
            scores[column] = named - distinct / max(rows, 1)
    if given:
        _take_label(found, given)
    elif len(binary) >= 2:
        _take_binary(found, binary)
    elif scores:
        best = max(scores, key=lambda name: scores[name])
        others = [name for name in scores if name != best]
        measured = [name for name in others if _holds_measurements(found, name)]
        classes = [name for name in others if name not in measured]
        if classes:
            shown = ", ".join(classes[:5]) + (", …" if len(classes) > 5 else "")
            found.remarks.append(f"classes could also be: {shown}; --label takes another column")
        _remark_numbers(found, measured)
        _take_label(found, best)
    else:
        found.remarks.append("no column looks like classes; name it with --label")
        columns = map(str, found.table.columns)
        _remark_numbers(found, [name for name in columns if _holds_numbers(found, name)])


def _remark_numbers(found: Inspection, columns: list[str]) -> None:
    if columns:
        found.remarks.append(
            f"{', '.join(columns[:5])}: numbers, which can be cut into two classes: --label "
            "COLUMN with --above NUMBER or --below NUMBER"
        )


def _cut_numbers(found: Inspection, cut: dict[str, float]) -> None:
    """Take a column of numbers for two classes."""
    if not cut:
        return
    label = found.columns.get("label")
    if not isinstance(label, str) or not _holds_numbers(found, label):
        raise DrugtailError(
            f"{found.path}: --above and --below cut a column of numbers; name it: --label COLUMN"
        )
    cells = values_of(found, label)
    found.labels = {"kind": "threshold", **cut}
    if cells.str.contains(",").any():
        found.labels["decimal"] = ","
    settings = validated(ThresholdLabels, found.labels, "--above and --below")
    numbers = as_numbers(cells, settings.decimal)
    found.sizes = settings.named(numbers).value_counts()
    found.numbers = 0


def _holds_numbers(found: Inspection, column: str) -> bool:
    """Return whether a column holds measurements."""
    cells = values_of(found, column)
    return len(cells) > 0 and any(as_numbers(cells, mark).notna().all() for mark in ".,")


def _holds_measurements(found: Inspection, column: str) -> bool:
    """Return whether a column holds numbers too many and too fine to be names of classes."""
    return _holds_numbers(found, column) and _are_measured(values_of(found, column))


def _are_measured(cells: pd.Series) -> bool:
    """Return whether numbers have decimals, as the names of classes have not."""
    numbers = as_numbers(cells, "," if cells.str.contains(",").any() else ".")
    return bool(((numbers % 1) != 0).any()) and cells.nunique() > MOST_DECIMALS


def _has_word(column: str, word: str) -> bool:
    plain = column.lower().replace("-", "_").replace(" ", "_")
    return plain == word or plain.endswith(f"_{word}") or (len(word) > 3 and word in plain)


def _take_binary(found: Inspection, columns: list[str]) -> None:
    """Columns of 0 and 1: one-hot classes if exactly one is set nearly everywhere, else tasks."""
    on = found.table[columns].apply(lambda column: column.str.strip().isin(ONE_HOT.on))
    if (on.sum(axis=1) == 1).mean() > 0.9:
        found.columns["label"] = columns
        found.labels = {"kind": "one_hot", "several": "single_only"}
        single = on.sum(axis=1) == 1
        found.sizes = on[single].sum().sort_values(ascending=False)
        found.remarks.append(f"{len(columns)} columns are one class each (one-hot)")
        if not single.all():
            found.remarks.append(
                f"{int((~single).sum()):,} rows have none or several of them and would be set aside"
            )
        return
    found.tasks = columns
    found.remarks.append(
        f"{len(columns)} columns of 0 and 1 are a question each: one data set per column"
    )


def _take_label(found: Inspection, column: str) -> None:
    found.columns["label"] = column
    cells = values_of(found, column)
    many = cells.nunique() > max(20, len(cells) // 20)
    if _holds_numbers(found, column) and (many or _are_measured(cells)):
        found.numbers = cells.nunique()
        found.remarks.append(
            f"{column} holds {found.numbers} different numbers; --above NUMBER or --below NUMBER "
            "cuts them into two classes"
        )
    separator = _list_separator(cells)
    if separator:
        found.labels = {"kind": "list", "separator": separator, "several": "single_only"}
        parts = cells.map(lambda cell: {part.strip() for part in cell.split(separator)})
        several = int((parts.map(len) > 1).sum())
        found.remarks.append(
            f"{several:,} cells of {column} are lists of labels (between them {separator!r}); rows "
            "with several labels would be set aside"
        )
        cells = parts[parts.map(len) == 1].map(lambda part: next(iter(part)))
    for spellings in _spellings(cells):
        found.labels["spelling"] = "merge"
        found.remarks.append(
            f"{' and '.join(map(repr, spellings))} differ in case, blanks or decimals only and "
            "would be one class"
        )
    merged = cells.map(spelling_key)
    first = cells.groupby(merged).agg(lambda group: group.value_counts().index[0])
    found.sizes = merged.map(first).value_counts().astype(int)


def _spellings(cells: pd.Series) -> Iterator[list[str]]:
    """Labels that are one but for their spelling."""
    distinct = pd.Series(sorted(cells.unique()))
    for _, group in distinct.groupby(distinct.map(spelling_key)):
        whole = {str(label).removesuffix(".0") for label in group}
        # 1 and 1.0 are one class in any case.
        if len(whole) > 1:
            yield [str(label) for label in group]


def _list_separator(cells: pd.Series) -> str | None:
    labels = set(cells)
    return next((separator for separator in LISTS if lists_among(labels, separator)), None)


def _is_split(cells: pd.Series) -> bool:
    values = cells.unique()
    return 2 <= len(values) <= 6 and all(subset_of(str(value)) for value in values)


def _find_others(found: Inspection) -> None:
    """A published split, and names of rows."""
    used = set(found.tasks)
    for value in found.columns.values():
        used |= set(value) if isinstance(value, list) else {value}
    molecules = found.columns.get("smiles") or found.columns.get("reaction")
    # A row without a molecule has nothing to name.
    rows = found.table if molecules is None else found.table.loc[values_of(found, molecules).index]
    for column in map(str, found.table.columns):
        if column in used or not column:
            continue
        cells = rows[column]
        if "split" not in found.columns and _is_split(values_of(found, column)):
            found.columns["split"] = column
            found.remarks.append(f"{column} holds a published split (`official`)")
        elif (
            "id" not in found.columns
            and cells.is_unique
            and (cells.str.strip() != "").all()
            and any(_has_word(column, word) for word in ID_WORDS)
            and not _holds_measurements(found, column)
        ):
            found.columns["id"] = column
