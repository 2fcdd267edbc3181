"""Saying what was found in a table, and writing a register from it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from drugtail.config.base import NAME, validated
from drugtail.config.dataset import Dataset, Molecules, Reaction
from drugtail.config.labels import MISSING_MARKS
from drugtail.data.identity import NOTES, identify_all
from drugtail.data.inspect import MOST_CLASSES, Inspection, values_of
from drugtail.data.reaction_smiles import read_reactions
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import counted

# Rows whose molecules are read; of a larger table it is a sample.
CHEMISTRY = 5_000
FEW = 5


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
        cells = values_of(found, column)
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
    if {"smiles", "reaction"} & set(found.columns):
        lines += _described_molecules(found)
    return "\n".join(lines)


def _described_classes(found: Inspection) -> list[str]:
    if found.tasks:
        return ["tasks", *(_described_task(found, column) for column in found.tasks)]
    if found.sizes.empty:
        return []
    sizes = found.sizes
    shown = [f"  {name}: {size:,}" for name, size in sizes.head(8).items()]
    if len(sizes) > 8:
        shown.append(
            f"  … and {counted(len(sizes) - 8, 'smaller class')}, the smallest with "
            f"{sizes.iloc[-1]:,}"
        )
    few = int((sizes < FEW).sum())
    if few:
        shown.append(
            f"  {counted(few, 'class')} of fewer than {FEW} rows; `minimum_class_size` leaves out "
            "such classes"
        )
    ratio = sizes.iloc[0] / sizes.iloc[-1]
    return [f"{counted(len(sizes), 'class')}, imbalance ratio {ratio:.1f}", *shown]


def _described_task(found: Inspection, column: str) -> str:
    counts = values_of(found, column).value_counts()
    return f"  {column}: {', '.join(f'{n:,} of class {label}' for label, n in counts.items())}"


def _described_molecules(found: Inspection) -> list[str]:
    is_reaction = "reaction" in found.columns
    cells = found.table[found.columns["reaction" if is_reaction else "smiles"]]
    sample = cells
    which = "all rows"
    if len(cells) > CHEMISTRY:
        sample = cells.sample(CHEMISTRY, random_state=0)
        which = f"a sample of {CHEMISTRY:,} rows"
    read = read_reactions(sample, Reaction(), Molecules()) if is_reaction else identify_all(sample)
    good = read[read["reason"] == ""]
    named = "reactions" if is_reaction else "molecules"
    found.molecules = len(good)
    lines = [f"{named} ({which})", f"  {len(good):,} of {len(sample):,} cells are {named}"]
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
    if target.suffix != ".yaml":
        raise DrugtailError(f"{target}: is no register; its name must end in .yaml")
    if target.exists():
        raise DrugtailError(f"{target}: is there already; name another file, or delete it")
    dataset, text = register_text(found, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return dataset


def register_text(found: Inspection, target: Path) -> tuple[Dataset, str]:
    """Return a register of a table, and the text of its file.

    Raises
    ------
    DrugtailError
        If the table has no molecules or classes that could be named, or `target` no name for it.
    """
    if not {"smiles", "reaction"} & set(found.columns):
        raise DrugtailError(f"{found.path}: name the column of the molecules: --smiles COLUMN")
    if not re.fullmatch(NAME, target.stem):
        raise DrugtailError(
            f"{target}: the file's name is the data set's; write it with letters, digits, _ and . "
            f"only, for example {re.sub('[^A-Za-z0-9_.]', '_', target.stem)}{target.suffix}"
        )
    if found.molecules == 0:
        column = found.columns.get("smiles") or found.columns["reaction"]
        raise DrugtailError(
            f"{found.path}: no cell of column {column!r} is a molecule; nothing is written. Name "
            "another column: --smiles COLUMN"
        )
    if "label" not in found.columns and not found.tasks:
        raise DrugtailError(
            f"{found.path}: no column looks like classes (two to {MOST_CLASSES:,} different "
            "values, each several times); nothing is written. Name one with --label COLUMN"
        )
    if "label" in found.columns and len(found.sizes) == 1:
        raise DrugtailError(
            f"{found.path}: all rows are of one class, {found.sizes.index[0]!r}; nothing is "
            "written. Name another column: --label COLUMN"
        )
    if found.numbers:
        raise DrugtailError(
            f"{found.path}: column {found.columns['label']!r} holds {found.numbers} different "
            "numbers, not classes; nothing is written. Cut them in two with --above NUMBER or "
            "--below NUMBER, or name another column: --label COLUMN"
        )
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
    if "reaction" in found.columns:
        register["task"] = register["task"].replace("molecule", "product of a reaction")
        register["reaction"] = {"use": "product"}
    if found.labels:
        register["labels"] = found.labels
    if found.tasks:
        register["tasks"] = {column: {} for column in found.tasks}
    dataset = validated(Dataset, register, target)
    remarks = "".join(f"# - {remark}\n" for remark in found.remarks)
    head = f"# Made by looking at {found.path}; correct what is wrong.\n{remarks}"
    text = yaml.safe_dump(register, sort_keys=False, allow_unicode=True, width=98)
    return dataset, head + text
