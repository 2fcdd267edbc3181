"""What a table would be taken for, and a register to start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from rdkit import rdBase

from drugtail.config.base import validated
from drugtail.config.dataset import Dataset
from drugtail.config.labels import MISSING_MARKS, OneHotLabels
from drugtail.config.layout import Layout
from drugtail.data.formats.delimited import NAMES, found_separator
from drugtail.data.identity import NOTES, identify, identify_all
from drugtail.data.labels import LISTS, spelling_key
from drugtail.data.official import subset_of
from drugtail.data.table_format import decoded
from drugtail.data.tables import read_table, recognised, unpacked
from drugtail.runtime.errors import DrugtailError

# Rows whose molecules are read; of a larger table it is a sample.
CHEMISTRY = 5_000
# Cells by which a column is recognised.
LOOK = 200
MOST_CLASSES = 1_000
FEW = 5
# UTF-16 is known by its mark; without one any bytes would pass for it.
ENCODINGS = (None, "latin-1")
LABEL_WORDS = (
    "label", "class", "activity", "active", "target", "category", "outcome", "type", "moa",
    "mechanism", "taste", "y",
)  # fmt: skip
ONE_HOT = OneHotLabels(kind="one_hot")


@dataclass
class Inspection:
    """What a table would be taken for.

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


def inspect_table(path: Path, smiles: str | None = None, label: str | None = None) -> Inspection:
    """Look at a table: how it is written, what its columns hold, what is odd about it.

    Parameters
    ----------
    path
        The file, of any format that `drugtail.data.tables.read_table` reads.
    smiles, label
        Columns, where the user knows better.

    Raises
    ------
    DrugtailError
        If it is no table, or `smiles` or `label` is no column of it.
    """
    # RDKit explains every cell that is no molecule on standard error.
    with rdBase.BlockLogs():
        return _inspected(_read(path), smiles, label)


def _inspected(found: Inspection, smiles: str | None, label: str | None) -> Inspection:
    for name in filter(None, (smiles, label)):
        if name not in found.table:
            raise DrugtailError(
                f"{found.path}: has no column {name!r}; it has: "
                f"{', '.join(map(str, found.table.columns))}"
            )
    _find_molecules(found, smiles)
    _find_labels(found, label)
    _find_others(found)
    return found


# ---------------------------------------------------------------------------------- reading


def _read(path: Path) -> Inspection:
    """Read a table, with the encoding that fits and with or without a header."""
    content = unpacked(path)
    name = recognised(content, path)
    layout, frame = Layout(), None
    for encoding in ENCODINGS:
        try:
            layout = Layout(encoding=encoding)
            frame = read_table(path, layout=layout)
            break
        except DrugtailError as error:
            if encoding == ENCODINGS[-1] or "text: line" not in str(error):
                raise
    assert frame is not None
    found = Inspection(path, layout, name, frame)
    if name in ("delimited", "smi") and _is_molecule(*map(str, frame.columns[:3])):
        width = len(frame.columns)
        header = ["smiles", *(f"column{i}" for i in range(2, width + 1))]
        place = next(i for i, one in enumerate(frame.columns) if _is_molecule(str(one)))
        header[0], header[place] = header[place], header[0]
        found.layout = Layout(encoding=layout.encoding, header=header)
        found.table = read_table(path, layout=found.layout)
        found.remarks.append("it has no header: its first row is a molecule, so columns are named")
    if name == "smi" and found.layout.header is None:
        lines = decoded(content, layout, path).splitlines()
        width = Counter(len(line.split()) for line in lines if line.strip()).most_common(1)[0][0]
        if width > 2:
            header = ["smiles", "name", *(f"column{i}" for i in range(3, width + 1))]
            found.layout = Layout(encoding=layout.encoding, header=header)
            found.table = read_table(path, layout=found.layout)
            found.remarks.append(f"it has no header, and {width} words in most lines")
    if name == "delimited":
        text = decoded(content, layout, path)
        separator = found_separator(text, [])
        found.remarks.insert(0, f"cells are separated by {NAMES[separator]}")
    if layout.encoding:
        found.remarks.insert(0, f"it is not UTF-8 but reads as {layout.encoding}")
    return found


def _is_molecule(*texts: str) -> bool:
    """Whether a header cell is a molecule of some size; words such as CN or class are none."""
    return any(len(text) > 5 and not text.isalpha() and not identify(text).reason for text in texts)


# ---------------------------------------------------------------------------------- columns


def _cells(found: Inspection, column: str) -> pd.Series:
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
        cells = _look(_cells(found, str(column)))
        if not cells:
            continue
        if np.mean([cell.count(">") == 2 for cell in cells]) > 0.8:
            found.columns["reaction"] = str(column)
            return
        # Numbers and short words, such as CN or N, are molecules by chance.
        long = np.mean([len(cell) > 4 for cell in cells])
        good = np.mean([not identify(cell).reason for cell in cells])
        shares[str(column)] = good * long + 0.05 * ("smiles" in str(column).lower())
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
        cells = _cells(found, column)
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
        if others:
            shown = ", ".join(others[:5]) + (", …" if len(others) > 5 else "")
            found.remarks.append(f"classes could also be: {shown}; --label takes another column")
        _take_label(found, best)
    else:
        found.remarks.append("no column looks like classes; name it with --label")


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
    cells = _cells(found, column)
    numbers = pd.to_numeric(cells, errors="coerce")
    if numbers.notna().all() and cells.nunique() > max(20, len(cells) // 20):
        found.remarks.append(
            f"{column} holds {cells.nunique()} different numbers; cut them into classes: labels: "
            "{kind: threshold, below: …}"
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
    for separator in LISTS:
        parts = [[part.strip() for part in label.split(separator)] for label in labels]
        lists = [one for one in parts if len(one) > 1 and set(one) <= labels]
        if len(lists) > (separator == " "):
            return separator
    return None


def _is_split(cells: pd.Series) -> bool:
    values = cells.unique()
    return 2 <= len(values) <= 6 and all(subset_of(str(value)) for value in values)


def _find_others(found: Inspection) -> None:
    """A published split, and names of rows."""
    used = set(found.tasks)
    for value in found.columns.values():
        used |= set(value) if isinstance(value, list) else {value}
    for column in map(str, found.table.columns):
        if column in used or not column:
            continue
        cells = found.table[column]
        if "split" not in found.columns and _is_split(_cells(found, column)):
            found.columns["split"] = column
            found.remarks.append(f"{column} holds a published split (`official`)")
        elif (
            "id" not in found.columns
            and cells.is_unique
            and (cells.str.strip() != "").all()
            and any(_has_word(column, word) for word in ("id", "name", "identifier"))
        ):
            found.columns["id"] = column


# ------------------------------------------------------------------------------------- said


def describe(found: Inspection) -> str:
    """Return what was found, in lines for people."""
    table = found.table
    lines = [
        f"{found.path}: {found.format}, {len(table):,} rows, {len(table.columns)} columns",
        *(f"  {remark}" for remark in found.remarks),
        "columns",
    ]
    roles = {}
    for role, value in found.columns.items():
        for column in value if isinstance(value, list) else [value]:
            roles[column] = role
    roles |= dict.fromkeys(found.tasks, "task")
    for column in map(str, table.columns):
        cells = _cells(found, column)
        example = str(cells.iloc[0])[:40] if len(cells) else ""
        lines.append(
            f"  {column or '(no name)'}: {roles.get(column, 'not used')}; "
            f"{cells.nunique():,} different values, for example {example!r}"
        )
        stripped = table[column].str.strip()
        marks = stripped[stripped.isin(MISSING_MARKS)].value_counts()
        if len(marks):
            named = ", ".join(f"{n:,} {mark or 'empty'}" for mark, n in marks.items())
            lines[-1] += f"; missing: {named}"
    lines += _described_classes(found)
    if "smiles" in found.columns:
        lines += _described_molecules(found)
    return "\n".join(lines)


def _described_classes(found: Inspection) -> list[str]:
    if found.sizes.empty:
        return []
    sizes = found.sizes
    shown = [f"  {name}: {size:,}" for name, size in sizes.head(8).items()]
    if len(sizes) > 8:
        shown.append(f"  … and {len(sizes) - 8} smaller ones, the smallest with {sizes.iloc[-1]:,}")
    few = int((sizes < FEW).sum())
    if few:
        shown.append(
            f"  {few} classes have fewer than {FEW} rows; `minimum_class_size` leaves them out"
        )
    ratio = sizes.iloc[0] / sizes.iloc[-1]
    return [f"{len(sizes)} classes, imbalance ratio {ratio:.1f}", *shown]


def _described_molecules(found: Inspection) -> list[str]:
    column = found.columns["smiles"]
    cells = found.table[column]
    sample = cells
    which = "all rows"
    if len(cells) > CHEMISTRY:
        sample = cells.sample(CHEMISTRY, random_state=0)
        which = f"a sample of {CHEMISTRY:,} rows"
    read = identify_all(sample)
    good = read[read["reason"] == ""]
    lines = [f"molecules ({which})", f"  {len(good):,} of {len(sample):,} cells are molecules"]
    for reason, number in read["reason"].str.split(":").str[0].value_counts().items():
        if reason:
            index = read.index[read["reason"].str.startswith(str(reason))][0]
            cell = str(sample.iloc[int(index)])[:40]
            lines.append(f"  {number:,} {reason}, for example {cell!r}")
    for note, number in good["notes"].str.split().explode().dropna().value_counts().items():
        lines.append(f"  {number:,} {NOTES[str(note)]}")
    repeats = {name: len(good) - good[name].nunique() for name in ("smiles", "parent")}
    lines.append(
        f"  {repeats['smiles']:,} repeat a molecule, {repeats['parent']:,} a parent compound "
        "(the same but for salt, charge or stereochemistry)"
        + ("; in all rows it is more" if len(cells) > CHEMISTRY else "")
    )
    return lines


def _asked(label: str | list[str]) -> str:
    return label if isinstance(label, str) else ", ".join(label)


def write_register(found: Inspection, target: Path) -> Dataset:
    """Write a register to start from.

    Raises
    ------
    DrugtailError
        If the table has no molecules or labels that could be named, or the file is there already.
    """
    if target.exists():
        raise DrugtailError(f"{target}: is there already; name another file, or delete it")
    if not {"smiles", "reaction"} & set(found.columns):
        raise DrugtailError(f"{found.path}: name the column of the molecules: --smiles COLUMN")
    if "label" not in found.columns and not found.tasks:
        raise DrugtailError(f"{found.path}: name the column of the classes: --label COLUMN")
    layout = found.layout.model_dump(exclude_none=True)
    register: dict[str, Any] = {
        "name": target.stem,
        "title": target.stem.replace("_", " "),
        "task": f"molecule -> {_asked(found.columns.get('label', 'class'))}",
        "licence": "not stated",
        "citation": "none",
        "files": [
            {
                "name": found.path.name,
                **layout,
                "columns": [],
                "sources": [{"path": str(found.path)}],
            }
        ],
        "columns": found.columns,
    }
    if found.labels:
        register["labels"] = found.labels
    if found.tasks:
        register["tasks"] = {column: {} for column in found.tasks}
    dataset = validated(Dataset, register, target)
    remarks = "".join(f"# - {remark}\n" for remark in found.remarks)
    head = f"# Made by looking at {found.path}; correct what is wrong.\n{remarks}"
    target.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(register, sort_keys=False, allow_unicode=True, width=98)
    target.write_text(head + text, encoding="utf-8")
    return dataset
