"""From published rows to clean molecules: parse, canonicalise, reject with a reason, count."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

from drugtail.config.dataset import Dataset, OfficialSubsets
from drugtail.data.tables import read_table
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path, write_json, write_parquet

SUBSET_NAMES = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid",
              "test": "test"}  # fmt: skip
CHUNK = 500
# What stands in a cell without a value, unless a class is declared under that name.
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")
# A drug is smaller by far, and the scaffold of a chain of 10,000 atoms takes minutes.
MOST_ATOMS = 1000


def prepare_dataset(dataset: Dataset, raw: Path, output: Path, *, workers: int = 1) -> None:
    """Write ``molecules.parquet``, ``rejected.csv`` and ``dataset.json`` into `output`.

    Parameters
    ----------
    dataset
        The register.
    raw
        Folder with the raw files.
    output
        Folder to write into. ``molecules.parquet`` has one row per accepted row: id, row (number
        in the raw file, the first data row is 1), smiles (canonical), scaffold (Bemis-Murcko,
        canonical; empty for molecules without rings), label (0 to C - 1), label_name, and
        official (train, valid or test) and reactants where the source has them.
    workers
        Processes for parsing.

    Raises
    ------
    DrugtailError
        If a column is missing, an id is repeated, nothing is left, or a registered fact about
        the data does not come out.
    """
    path = raw / (dataset.files[0].name if dataset.files else "generated.csv")
    frame, reasons = _read_rows(dataset, path, workers)
    accepted = frame[reasons == ""].drop(columns=["reason"])
    repeats = _repeats(accepted)
    policy_reasons = _apply_policies(accepted, dataset)
    reasons.loc[policy_reasons.index] = policy_reasons
    accepted = accepted[~accepted.index.isin(policy_reasons.index)]
    accepted, names = _with_labels(accepted, dataset)
    _check_expected(dataset, frame, accepted, path)

    optional = [column for column in ("official", "reactants") if column in accepted]
    keep = ["id", "row", "smiles", "scaffold", "label", "label_name", *optional]
    write_parquet(
        output / "molecules.parquet",
        accepted[keep].reset_index(drop=True),
        {"dataset": dataset.name, "class_names": names},
    )
    rejected = frame.assign(reason=reasons)[reasons != ""]
    with atomic_path(output / "rejected.csv") as temporary:
        rejected[["row", "id", "reason", "published", "source"]].rename(
            columns={"published": "label"}
        ).to_csv(temporary, index=False)
    summary = _summary(dataset, accepted, rejected, names)
    write_json(output / "dataset.json", {**summary, "repeats": repeats})


def _read_rows(dataset: Dataset, path: Path, workers: int) -> tuple[pd.DataFrame, pd.Series]:
    """Every row of the raw file as it was parsed, and why it cannot be used; empty if it can."""
    columns = dataset.columns
    molecule = str(columns.smiles or columns.reaction)
    wanted = [molecule, columns.label, columns.id, columns.split]
    table = read_table(path, [column for column in wanted if column])
    rows = pd.Series(np.arange(1, len(table) + 1))
    ids = table[columns.id] if columns.id else dataset.name + "-" + rows.astype(str)
    _check_unique(ids, path)
    frame = pd.DataFrame(
        {"id": ids, "row": rows, "published": _published_labels(table, dataset),
         "source": table[molecule]}
    ).join(parse_molecules(table[molecule], columns.reaction is not None, workers))  # fmt: skip
    frame["label"], label_reasons = _labels(frame["published"], dataset)
    reasons = frame["reason"].where(frame["reason"] != "", label_reasons)
    if columns.split:
        subsets = table[columns.split].str.strip().str.lower().map(SUBSET_NAMES)
        frame["official"] = subsets
        bad = subsets.isna() & (reasons == "")
        reasons[bad] = "unknown subset in the split column: " + table[columns.split][bad]
    elif dataset.official:
        frame["official"] = _official_subsets(frame["reaction"], dataset.official, path.parent)
    return frame, reasons


def _with_labels(accepted: pd.DataFrame, dataset: Dataset) -> tuple[pd.DataFrame, list[str]]:
    """Accepted rows with numbers and names of their classes, and the names of all classes."""
    names = _class_names(dataset, accepted)
    if not dataset.classes:
        codes = {label: code for code, label in enumerate(names)}
        accepted = accepted.assign(label=accepted["published"].map(codes))
    accepted = accepted.assign(label=accepted["label"].astype(int))
    accepted["label_name"] = accepted["label"].map(dict(enumerate(names.values())))
    return accepted, list(names.values())


def _summary(
    dataset: Dataset, accepted: pd.DataFrame, rejected: pd.DataFrame, names: list[str]
) -> dict[str, Any]:
    """dataset.json, but for the repeats."""
    counts = accepted["label"].value_counts()
    return {
        "name": dataset.name,
        "title": dataset.title,
        "synthetic": dataset.synthetic,
        "citation": dataset.citation,
        "licence": dataset.licence,
        "rows": len(accepted) + len(rejected),
        "molecules": len(accepted),
        "rejected": rejected["reason"].str.split(":").str[0].value_counts().to_dict(),
        "policy": {"duplicates": dataset.duplicates, "conflicts": dataset.conflicts},
        "classes": [
            {"label": code, "name": name, "molecules": int(counts.get(code, 0))}
            for code, name in enumerate(names)
        ],
        "imbalance_ratio": round(float(counts.max() / counts.min()), 2),
    }


# ------------------------------------------------------------------------------- parsing


class Parsed(NamedTuple):
    """What RDKit made of one SMILES; `reason` is empty if it is a molecule."""

    smiles: str
    scaffold: str
    reactants: str
    reaction: str
    reason: str


def parse_molecules(texts: Iterable[str], is_reaction: bool, workers: int = 1) -> pd.DataFrame:
    """Parse SMILES, or the products of reaction SMILES, in parallel.

    Returns
    -------
    pandas.DataFrame
        One row per text, in order, with the fields of `Parsed`; `reactants` and `reaction` only
        for reactions.
    """
    items = list(texts)
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    parse = _parse_reactions if is_reaction else _parse_smiles
    if workers > 1 and len(chunks) > 1:
        with ProcessPoolExecutor(max_workers=min(workers, os.cpu_count() or 1)) as pool:
            rows = [row for chunk in pool.map(parse, chunks) for row in chunk]
    else:
        rows = [row for chunk in chunks for row in parse(chunk)]
    frame = pd.DataFrame(rows, columns=Parsed._fields)
    return frame if is_reaction else frame.drop(columns=["reactants", "reaction"])


def canonical_reaction(text: str) -> str | None:
    """Return ``reactants>>product`` without atom maps and reagents, canonical; None if invalid."""
    # RDKit explains every rejected SMILES on standard error; rejected.csv says it better.
    with rdBase.BlockLogs():
        sides = text.strip().split(">")
        if len(sides) != 3:
            return None
        reactants, product = _canonical_side(sides[0]), _canonical_side(sides[2])
    return None if reactants is None or product is None else f"{reactants}>>{product}"


def _parse_smiles(texts: Sequence[str]) -> list[Parsed]:
    with rdBase.BlockLogs():
        return [_parsed(text.strip()) for text in texts]


def _parse_reactions(texts: Sequence[str]) -> list[Parsed]:
    rows = []
    for text in texts:
        reaction = canonical_reaction(text)
        if reaction is None:
            rows.append(Parsed("", "", "", "", "unparsable reaction"))
            continue
        reactants, product = reaction.split(">>")
        with rdBase.BlockLogs():
            rows.append(_parsed(product)._replace(reactants=reactants, reaction=reaction))
    return rows


def _parsed(text: str) -> Parsed:
    if not text:
        return Parsed("", "", "", "", "empty SMILES")
    molecule = Chem.MolFromSmiles(text)
    if molecule is None:
        return Parsed("", "", "", "", "unparsable SMILES")
    atoms = molecule.GetNumAtoms()
    if atoms == 0:
        return Parsed("", "", "", "", "molecule without atoms")
    if atoms > MOST_ATOMS:
        return Parsed("", "", "", "", f"too large: {atoms} atoms, at most {MOST_ATOMS}")
    scaffold = Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(molecule), isomericSmiles=False)
    return Parsed(Chem.MolToSmiles(molecule), scaffold, "", "", "")


def _canonical_side(text: str) -> str | None:
    molecule = Chem.MolFromSmiles(text)
    if molecule is None:
        return None
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(0)
    # Chirality and hydrogens are perceived anew once the maps are gone, as in unmapped SMILES.
    clean = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
    return None if clean is None else str(Chem.MolToSmiles(clean))


# ---------------------------------------------------------------------- labels and subsets


def _published_labels(table: pd.DataFrame, dataset: Dataset) -> pd.Series:
    """Labels as published; with declared classes 1.0 means 1.

    A column of whole numbers with missing values is often written with decimals.
    """
    labels = table[dataset.columns.label].str.strip()
    if not dataset.classes:
        return labels
    whole = labels.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)
    return labels.where(labels.isin(list(dataset.classes)), whole)


def _labels(published: pd.Series, dataset: Dataset) -> tuple[pd.Series, pd.Series]:
    """Class number per row (NaN where there is none) and the reason where a row has none."""
    reasons = pd.Series("", index=published.index)
    declared = published.isin(list(dataset.classes or {}))
    reasons[published.isin(MISSING) & ~declared] = "missing label"
    if not dataset.classes:
        return pd.Series(np.nan, index=published.index), reasons
    codes = {label: code for code, label in enumerate(dataset.classes)}
    labels = published.map(codes)
    unknown = labels.isna() & (reasons == "")
    reasons[unknown] = (
        "unknown label: " + published[unknown] + " is not among " + ", ".join(dataset.classes)
    )
    return labels, reasons


def _class_names(dataset: Dataset, accepted: pd.DataFrame) -> dict[str, str]:
    """Published label -> name, in class order."""
    if accepted.empty:
        raise DrugtailError(
            f"{dataset.name}: no row is left; see rejected reasons: check columns.smiles, "
            "columns.label and classes in its register"
        )
    if dataset.classes:
        return dict(dataset.classes)
    found = sorted(accepted["published"].unique())
    if len(found) > max(2, len(accepted) // 3):
        raise DrugtailError(
            f"{dataset.name}: column {dataset.columns.label!r} has {len(found)} different labels "
            f"in {len(accepted)} rows (for example {found[0]!r}); it holds numbers, not classes. "
            "Name another column, or list the classes in the register"
        )
    return {label: label for label in found}


def _official_subsets(reactions: pd.Series, official: OfficialSubsets, raw: Path) -> pd.Series:
    """Find the reactions of the published subsets in the table; the rest is the training set.

    A reaction that occurs several times is used up row by row, in order, so that every published
    validation and test row finds a row of its own.
    """
    rows: dict[str, list[int]] = {}
    for index, reaction in reactions.items():
        rows.setdefault(str(reaction), []).append(int(str(index)))
    for queue in rows.values():
        queue.reverse()
    subsets = pd.Series("train", index=reactions.index)
    for subset, name in (("valid", official.valid), ("test", official.test)):
        table = read_table(raw / name, [official.reaction])
        for number, text in enumerate(table[official.reaction], start=1):
            queue = rows.get(canonical_reaction(text) or "", [])
            if not queue:
                raise DrugtailError(
                    f"{raw / name}: row {number}: this reaction is not in the table of the data "
                    "set; the two files do not belong together"
                )
            subsets[queue.pop()] = subset
    return subsets


# ------------------------------------------------------------------------------- policies


def _repeats(accepted: pd.DataFrame) -> dict[str, int]:
    """How often molecules repeat, before any policy."""
    classes = accepted.groupby("smiles")["published"].nunique()
    return {
        "distinct_molecules": int(classes.size),
        "rows_that_repeat_a_molecule": int(len(accepted) - classes.size),
        "molecules_with_several_classes": int((classes > 1).sum()),
    }


def _apply_policies(accepted: pd.DataFrame, dataset: Dataset) -> pd.Series:
    """Reason per row that a declared policy drops."""
    reasons = pd.Series(dtype=object)
    if dataset.conflicts == "drop":
        classes = accepted.groupby("smiles")["published"].transform("nunique")
        conflicting = accepted.index[classes > 1]
        reasons = pd.concat([reasons, pd.Series("conflicting labels", index=conflicting)])
    if dataset.duplicates == "drop":
        rest = accepted[~accepted.index.isin(reasons.index)]
        repeated = rest.index[rest.duplicated(["smiles", "published"])]
        reasons = pd.concat([reasons, pd.Series("repeats a molecule", index=repeated)])
    return reasons


# --------------------------------------------------------------------------------- checks


def _check_unique(ids: pd.Series, path: Path) -> None:
    repeated = ids[ids.duplicated()]
    if not repeated.empty:
        index = int(str(repeated.index[0]))
        first = int(str(ids.index[ids == repeated.iloc[0]][0]))
        raise DrugtailError(
            f"{path}: row {index + 1}: id {repeated.iloc[0]!r} stands already in row {first + 1}; "
            "give every row its own id, or leave columns.id out of the register to number them"
        )


def _check_expected(
    dataset: Dataset, frame: pd.DataFrame, accepted: pd.DataFrame, path: Path
) -> None:
    if dataset.expected.unparsable is not None:
        found = int(frame["reason"].str.startswith("unparsable").sum())
        if found != dataset.expected.unparsable:
            raise DrugtailError(
                f"{path}: {found} rows are unparsable, expected {dataset.expected.unparsable}; "
                "another version of RDKit or of the file? Correct expected.unparsable in the "
                "register if the difference is understood"
            )
    missing = set(range(len(dataset.classes or {}))) - set(accepted["label"])
    if missing:
        label = list(dataset.classes or {})[min(missing)]
        raise DrugtailError(
            f"{path}: class {label!r} of the register has no molecule; remove it from classes"
        )
