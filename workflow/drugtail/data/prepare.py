"""From published rows to clean molecules: read, identify, set aside with a reason, count."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from drugtail.config.dataset import Dataset, SecondInput
from drugtail.data.identity import NOTES, identify_all
from drugtail.data.labels import read_labels
from drugtail.data.official import official_subsets
from drugtail.data.policies import apply_policies, count_repeats, is_of_sample, outcome
from drugtail.data.reaction_smiles import read_reactions
from drugtail.data.rows import Rows
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path, write_json
from drugtail.runtime.logging import counted, say
from drugtail.runtime.parquet import write_parquet

OPTIONAL = ("second", "official", "reactants", "time")
# Begins the reason of a row with a mark, not an empty cell, in place of a label.
MARKED = "missing label: "
# Names in a line of progress.
MOST_SHOWN = 6


def prepare_dataset(dataset: Dataset, raw: Path, output: Path, *, workers: int = 1) -> None:
    """Write ``rejected.csv``, ``molecules.parquet`` and ``dataset.json`` into `output`.

    Every row of the table is a molecule or stands in ``rejected.csv``, which is written even where
    no row is left.

    Parameters
    ----------
    dataset
        The register.
    raw
        Folder with the raw files.
    output
        Folder to write into. ``molecules.parquet`` has one row per molecule: id, row (number in its
        raw file, the first data row is 1), smiles, parent and scaffold (see
        `drugtail.data.identity.Identity`), label (0 to C - 1), label_name, and where the source has
        them second (a second input), official (train, valid or test), reactants, time, and the
        columns to group by.
    workers
        Processes for parsing.

    Raises
    ------
    DrugtailError
        If a column is missing, an id is repeated, labels are refused, nothing is left, or a
        registered fact about the data does not come out.
    """
    if dataset.tasks is not None:
        some = ", ".join(one.name for one in dataset.each_task()[:5])
        raise DrugtailError(
            f"{dataset.name}: is a register of {len(dataset.tasks)} tasks, each a data set of its "
            f"own; prepare one of them: {some}"
        )
    rows = Rows(dataset, raw)
    ids = _ids(rows, dataset)
    labels = read_labels(rows, dataset)
    published = labels[rows.reasons.eq("") | rows.reasons.str.startswith("unknown label")]
    read = _read_molecules(rows, dataset, workers)
    rows.reject(read["reason"] != "", read["reason"])
    frame = read[["smiles", "parent", "scaffold", "notes"]].assign(
        id=ids, row=rows.row, published=labels
    )
    if "reactants" in read:
        frame["reactants"] = read["reactants"]
    if dataset.columns.second is not None:
        frame["second"] = _second_inputs(rows, dataset.columns.second, dataset, workers)
    official = official_subsets(rows, dataset, read.get("reaction"), workers)
    if official is not None:
        frame["official"] = official
    if dataset.columns.time is not None:
        frame["time"] = rows.table[dataset.columns.time].str.strip()
        rows.reject(frame["time"] == "", "no time")
    for column in dataset.columns.group:
        frame[column] = rows.table[column].str.strip()
    # Of pairs, a repeat is one of both; of reactions, one of product and reactants.
    both = frame.get("second", "")
    if dataset.reads == "reaction":
        both = both + ">" + frame["reactants"]
    compared = frame.assign(smiles=frame["smiles"] + both, parent=frame["parent"] + both)
    usable, as_read = rows.reasons == "", compared.copy()
    apply_policies(rows, compared, dataset)
    counted_rows = as_read[usable & is_of_sample(rows.reasons, as_read, dataset)]
    repeats = count_repeats(counted_rows)
    frame["published"] = compared["published"]

    rejected = output / "rejected.csv"
    _write_rejected(rows, frame, dataset, rejected)
    _say_outcome(rows, frame, dataset, rejected)
    _say_conflicts(repeats, counted_rows, dataset)
    used = rows.reasons == ""
    if not used.any():
        raise DrugtailError(_nothing_left(rows, dataset, rejected))
    molecules, names = _with_classes(frame[used], dataset)
    _check_expected(dataset, rows, published, molecules, names)
    keep = ["id", "row", "smiles", "parent", "scaffold", "label", "label_name"]
    keep += [column for column in (*OPTIONAL, *dataset.columns.group) if column in frame]
    write_parquet(
        output / "molecules.parquet",
        molecules[keep].reset_index(drop=True),
        {
            "dataset": dataset.name,
            "class_names": names,
            "molecules": dataset.molecules.model_dump(),
            "reads": dataset.reads,
            "second": dataset.columns.second and dataset.columns.second.model_dump(),
        },
    )
    summary = _summary(dataset, rows, molecules, names)
    write_json(output / "dataset.json", {**summary, "repeats": repeats})


def _ids(rows: Rows, dataset: Dataset) -> pd.Series:
    """Name of each row: the published one, or the data set's and a running number."""
    column = dataset.columns.id
    numbers = pd.Series(range(1, len(rows) + 1), index=rows.table.index)
    numbered: pd.Series = dataset.name + "-" + numbers.astype(str)
    if column is None:
        return numbered
    without = rows.table[column].str.strip() == ""
    if without.any():
        say(
            f"{dataset.name}: {counted(int(without.sum()), 'row')} without {column}, named "
            f"{dataset.name}- and a number"
        )
    ids = rows.table[column].mask(without, numbered)
    repeated = ids[ids.duplicated()]
    if not repeated.empty:
        index = int(repeated.index[0])
        first = int(ids.index[ids == repeated.iloc[0]][0])
        raise DrugtailError(
            f"{rows.place(index)}: id {repeated.iloc[0]!r} stands already in row "
            f"{rows.row[first]} of {rows.file[first]}; give every row its own id, or leave "
            "columns.id out of the register to number them"
        )
    return ids


def _read_molecules(rows: Rows, dataset: Dataset, workers: int) -> pd.DataFrame:
    """Identities of the rows that have no reason yet; empty texts for the others, [N]."""
    wanted = rows.reasons == ""
    column = dataset.columns.smiles or dataset.columns.reaction
    texts = rows.table[column][wanted]
    if dataset.columns.reaction is not None:
        found = read_reactions(texts, dataset.reaction, dataset.molecules, workers)
    else:
        found = identify_all(texts, dataset.molecules, workers)
    found.index = texts.index
    return found.reindex(rows.table.index, fill_value="")


def _second_inputs(rows: Rows, second: SecondInput, dataset: Dataset, workers: int) -> pd.Series:
    """Second inputs: canonical SMILES, or sequences; rows without one get a reason, [N]."""
    cells = rows.table[second.column].str.strip()
    if second.kind == "sequence":
        sequences = cells.str.upper()
        rows.reject(sequences == "", "empty sequence")
        rows.reject(~sequences.str.fullmatch(r"[A-Z]*"), "sequence with other signs than letters")
        return sequences
    wanted = rows.reasons == ""
    found = identify_all(cells[wanted], dataset.molecules, workers)
    found.index = cells.index[wanted]
    found = found.reindex(cells.index, fill_value="")
    rows.reject(found["reason"] != "", "second molecule: " + found["reason"])
    return found["smiles"]


def _with_classes(frame: pd.DataFrame, dataset: Dataset) -> tuple[pd.DataFrame, list[str]]:
    """Molecules with numbers and names of their classes, and the names of all classes."""
    found = set(frame["published"])
    if dataset.classes:
        # Classes that were merged, left out as too rare or not drawn are none any more.
        aside = dataset.minimum_class_size > 1 or dataset.sample is not None
        names = {
            label: name for label, name in dataset.classes.items() if label in found or not aside
        }
        names |= {label: label for label in sorted(found - set(names))}
    else:
        names = {label: label for label in sorted(found)}
        if len(names) > max(2, len(frame) // 3):
            example = next(iter(names))
            raise DrugtailError(
                f"{dataset.name}: column {', '.join(dataset.columns.labels)!r} has {len(names)} "
                f"different labels in {len(frame)} rows (for example {example!r}); it holds "
                "numbers or names, not classes. Name another column, list the classes in the "
                "register (`classes`), cut numbers with `labels: {kind: threshold, …}`, or set "
                "`minimum_class_size`"
            )
    codes = {label: code for code, label in enumerate(names)}
    return frame.assign(
        label=frame["published"].map(codes).astype(int), label_name=frame["published"].map(names)
    ), list(names.values())


# ----------------------------------------------------------------------------- what is said


def _write_rejected(rows: Rows, frame: pd.DataFrame, dataset: Dataset, path: Path) -> None:
    """Write the rows that are set aside: where they stand, why, and what stood there."""
    column = str(dataset.columns.smiles or dataset.columns.reaction)
    table = pd.DataFrame(
        {
            "file": rows.file,
            "row": rows.row,
            "id": frame["id"],
            "outcome": rows.reasons.map(outcome),
            "reason": rows.reasons,
            "label": frame["published"],
            "source": rows.table[column],
        }
    )[rows.reasons != ""]
    with atomic_path(path) as temporary:
        # A cell may hold a line end of any kind.
        table.to_csv(temporary, index=False, quoting=csv.QUOTE_NONNUMERIC)


def _say_outcome(rows: Rows, frame: pd.DataFrame, dataset: Dataset, rejected: Path) -> None:
    """Say what was set aside, and what was done to molecules, in a line each."""
    reasons = rows.reasons[rows.reasons != ""]
    if len(reasons):
        kinds = reasons.str.split(":").str[0]
        parts = [
            f"{number:,} {kind}{_examples(reasons[kinds == kind])}"
            for kind, number in kinds.value_counts().items()
        ]
        line = f"{len(reasons):,} of {len(rows):,} rows set aside: {', '.join(parts)}"
        say(f"{dataset.name}: {line} ({rejected})")
    marks = reasons[reasons.str.startswith(MARKED)].str.slice(len(MARKED))
    marks = marks[marks.isin(dataset.labels.missing)]
    for mark in marks.value_counts().index[:1]:
        say(
            f"{dataset.name}: if {mark!r} is a class and no missing value, take it out of "
            "labels.missing in the register"
        )
    notes = frame["notes"][rows.reasons == ""].str.split()
    for note, number in notes.explode().dropna().value_counts().items():
        say(f"{dataset.name}: {counted(number, 'molecule')}: {NOTES[str(note)]}")


def _say_conflicts(repeats: dict[str, int], molecules: pd.DataFrame, dataset: Dataset) -> None:
    """Say how many molecules have several classes, and name some, where they are kept."""
    if dataset.conflicts != "keep":
        return
    key, named = dataset.identity, {"smiles": "molecule", "parent": "parent"}[dataset.identity]
    several = repeats[f"{named}s_with_several_classes"]
    if several:
        labels = molecules.groupby(key, sort=False)["published"].transform("nunique")
        ids = molecules.loc[labels > 1].sort_values(key, kind="stable")["id"].astype(str)
        shown = ", ".join(ids[:MOST_SHOWN]) + (", …" if len(ids) > MOST_SHOWN else "")
        say(
            f"{dataset.name}: {counted(several, named)} in several classes ({shown}), kept as "
            "published; a line `conflicts: drop` in the data set's register leaves them out"
        )
    parents = repeats["parents_with_several_classes"]
    if key == "smiles" and parents > several:
        say(
            f"{dataset.name}: {counted(parents, 'parent compound')} in several classes, salts and "
            "stereoisomers taken together; the lines `identity: parent` and `conflicts: drop` in "
            "the register leave those out"
        )


def _examples(reasons: pd.Series) -> str:
    """The details of reasons of one kind: the most frequent ones, in brackets."""
    details = reasons.str.partition(":")[2].str.strip()
    counts = details[details != ""].value_counts()
    if counts.empty:
        return ""
    shown = [str(detail)[:60] for detail in counts.index[:2]]
    return f" ({', '.join(shown)}{', …' if len(counts) > 2 else ''})"


def _nothing_left(rows: Rows, dataset: Dataset, rejected: Path) -> str:
    index = int(rows.table.index[0])
    columns = [dataset.columns.smiles or dataset.columns.reaction, *dataset.columns.labels]
    cells = ", ".join(f"{column} {rows.table[column][index]!r:.80}" for column in columns if column)
    return (
        f"{rows.place(index)}: no row of the table is left, this one for: {rows.reasons[index]} "
        f"({cells}). All reasons stand in {rejected}; correct columns, labels or classes in the "
        f"register of {dataset.name}"
    )


def _summary(
    dataset: Dataset, rows: Rows, molecules: pd.DataFrame, names: list[str]
) -> dict[str, Any]:
    """dataset.json, but for the repeats."""
    counts = molecules["label"].value_counts()
    reasons = rows.reasons[rows.reasons != ""]
    outcomes, kinds = reasons.map(outcome), reasons.str.split(":").str[0]
    notes = molecules["notes"].str.split().explode().dropna().value_counts()
    return {
        "name": dataset.name,
        "title": dataset.title,
        "synthetic": dataset.synthetic,
        "citation": dataset.citation,
        "licence": dataset.licence,
        "note": dataset.note,
        "meaning": dataset.meaning,
        "rows": len(rows),
        "molecules": len(molecules),
        **{
            key: kinds[outcomes == name].value_counts().to_dict()
            for key, name in (
                ("rejected", "rejected"), ("left_out", "left out"), ("merged", "merged")
            )
        },
        "notes": {NOTES[str(note)]: int(number) for note, number in notes.items()},
        "policy": {
            "standardize": dataset.molecules.standardize,
            "identity": dataset.identity,
            "duplicates": dataset.duplicates,
            "conflicts": dataset.conflicts,
            "minimum_class_size": dataset.minimum_class_size,
            "sample": dataset.sample and dataset.sample.model_dump(),
        },
        "classes": [
            {"label": code, "name": name, "molecules": int(counts.get(code, 0))}
            for code, name in enumerate(names)
        ],
        "imbalance_ratio": round(float(counts.max() / counts.min()), 2),
    }  # fmt: skip


# --------------------------------------------------------------------------------- checks


def _check_expected(
    dataset: Dataset, rows: Rows, published: pd.Series, molecules: pd.DataFrame, names: list[str]
) -> None:
    """Refuse data of which a registered fact does not come out."""
    path = rows.path(rows.file.iloc[0])
    empty = sorted(set(range(len(names))) - set(molecules["label"]))
    if empty:
        label = list(dataset.classes or {})[empty[0]]
        raise DrugtailError(
            f"{path}: class {label!r} of the register has no molecule; remove it from classes"
        )
    expected = dataset.expected
    found = {
        "unparsable": int(rows.reasons.str.startswith("unparsable").sum()),
        "molecules": len(molecules),
        "classes": len(names),
        "parents": molecules["parent"].nunique(),
    }
    for key, value in found.items():
        wanted = getattr(expected, key)
        if wanted is not None and value != wanted:
            what = "rows are unparsable" if key == "unparsable" else f"{key} are left"
            raise DrugtailError(
                f"{path}: {value} {what}, expected {wanted}; another version of RDKit or of the "
                f"file? Correct expected.{key} in the register if the difference is understood"
            )
    counts = published.value_counts()
    for label, wanted in (expected.class_counts or {}).items():
        if counts.get(label, 0) != wanted:
            raise DrugtailError(
                f"{path}: class {label!r} has {counts.get(label, 0)} rows, expected {wanted}; "
                "another version of the file? Correct expected.class_counts in the register if "
                "the difference is understood"
            )
