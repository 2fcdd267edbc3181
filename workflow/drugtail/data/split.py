"""Cutting a data set into train, valid and test, and saying what the cut is like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drugtail.data.groups import class_groups
from drugtail.data.split_digest import split_digest
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_parquet, read_parquet_metadata, write_json, write_parquet
from drugtail.runtime.seeds import derive_seed

SUBSETS = ("train", "valid", "test")
MOST_DRAWS = 1000


def split_dataset(molecules: Path, strategy: str, seed: int, output: Path) -> None:
    """Write one split: ``{output}.parquet`` (id, subset) and its summary ``{output}.json``.

    Parameters
    ----------
    molecules
        ``molecules.parquet`` of the data set.
    strategy
        ``random``, ``standard``, ``scaffold`` or ``official``.
    seed
        Split seed; another seed gives another split. ``official`` ignores it.
    output
        Path without extension.

    Raises
    ------
    DrugtailError
        If a class has too few molecules to stand in all subsets.
    """
    frame = read_parquet(molecules)
    dataset = read_parquet_metadata(molecules)
    names = dataset["class_names"]
    labels = frame["label"].to_numpy()
    counts = np.bincount(labels, minlength=len(names))
    few = [i for i, count in enumerate(counts) if count < 3]
    if few:
        raise DrugtailError(
            f"{molecules}: class {names[few[0]]!r} has {counts[few[0]]} molecules; a class needs "
            "at least 3 to stand in train, valid and test: merge it with another, or name those "
            f"to keep in `classes` of config/datasets/{dataset['dataset']}.yaml"
        )
    if len(names) < 2:
        raise DrugtailError(f"{molecules}: has one class; there is nothing to tell apart")
    rng = np.random.default_rng(derive_seed("split", dataset["dataset"], strategy, seed))
    draws = 1
    if strategy == "random":
        subsets = random_split(labels, rng)
    elif strategy == "standard":
        subsets, draws = standard_split(labels, rng)
    elif strategy == "scaffold":
        subsets = scaffold_split(frame["scaffold"].to_numpy(), rng)
    elif strategy == "official":
        if "official" not in frame:
            raise DrugtailError(
                f"{molecules}: the source of {dataset['dataset']} has no published split; use "
                "random-0, standard-0 or scaffold-0"
            )
        subsets = frame["official"].to_numpy(dtype=object)
    else:
        raise DrugtailError(f"--strategy {strategy!r}: use random, standard, scaffold or official")

    table = pd.DataFrame({"id": frame["id"], "subset": subsets})
    summary = summarise_split(frame.assign(subset=subsets), names)
    for subset in SUBSETS:
        empty = [names[i] for i, n in enumerate(summary["classes"][subset]) if n == 0]
        if empty and subset == "train":
            raise DrugtailError(
                f"{molecules}: split {strategy}-{seed} leaves class {empty[0]!r} without training "
                "molecules; use another split seed or strategy"
            )
    digest = split_digest(table)
    header = {
        **dataset,
        "strategy": strategy,
        "seed": seed,
        "draws": draws,
        "sha256": digest,
        # The split belongs to these molecules and no others.
        "molecules_sha256": file_digest(molecules),
        "train_counts": summary["classes"]["train"],
    }
    write_parquet(output.with_name(output.name + ".parquet"), table, header)
    write_json(output.with_name(output.name + ".json"), {**header, **summary})


def random_split(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Per class, 20 % test, then an eighth of the rest validation (70/10/20).

    Each class has at least one molecule in each subset.

    Parameters
    ----------
    labels
        Class per molecule, [N].
    rng
        Source of the permutation.

    Returns
    -------
    numpy.ndarray
        ``train``, ``valid`` or ``test`` per molecule, [N].
    """
    subsets = np.full(len(labels), "train", dtype=object)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        test = max(1, round(0.2 * len(members)))
        valid = max(1, round((len(members) - test) / 8))
        subsets[members[:test]] = "test"
        subsets[members[test : test + valid]] = "valid"
    return subsets


def standard_split(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Cut plainly 70/10/20, then thin validation and test to the size of their smallest class.

    Validation and test are balanced, training stays long-tailed; what is thinned out is
    ``unused``. A cut in which some class is missing from a subset is drawn again.

    Parameters
    ----------
    labels
        Class per molecule, [N].
    rng
        Source of the permutations.

    Returns
    -------
    subsets : numpy.ndarray
        ``train``, ``valid``, ``test`` or ``unused`` per molecule, [N].
    draws : int
        How many cuts were drawn.

    Raises
    ------
    DrugtailError
        If 1,000 cuts all lack a class somewhere.
    """
    classes = np.unique(labels)
    test, valid = round(0.2 * len(labels)), round(0.1 * len(labels))
    for draws in range(1, MOST_DRAWS + 1):
        order = rng.permutation(len(labels))
        subsets = np.full(len(labels), "train", dtype=object)
        subsets[order[:test]] = "test"
        subsets[order[test : test + valid]] = "valid"
        if all(np.isin(classes, labels[subsets == subset]).all() for subset in SUBSETS):
            for subset in ("valid", "test"):
                smallest = min(np.bincount(labels[subsets == subset])[classes])
                for label in classes:
                    members = order[(labels[order] == label) & (subsets[order] == subset)]
                    subsets[members[smallest:]] = "unused"
            return subsets, draws
    raise DrugtailError(
        f"a standard split needs every class in train, valid and test, but {MOST_DRAWS} "
        "random cuts all lack one; the smallest class is too small: use random-0"
    )


def scaffold_split(scaffolds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut 70/10/20 with molecules of one Bemis-Murcko scaffold kept together.

    Scaffolds are taken in random order: larger ones than a twentieth of the data stay in
    training, the others fill test, then validation, as long as they fit. Molecules without a
    ring have no scaffold and count each for itself.

    Parameters
    ----------
    scaffolds
        Canonical scaffold per molecule, [N]; empty for molecules without rings.
    rng
        Source of the order.

    Returns
    -------
    numpy.ndarray
        ``train``, ``valid`` or ``test`` per molecule, [N].
    """
    keys = pd.Series(scaffolds).where(scaffolds != "", [f"#{i}" for i in range(len(scaffolds))])
    number = pd.factorize(keys)[0]
    sizes = np.bincount(number)
    quota = {"test": round(0.2 * len(scaffolds)), "valid": round(0.1 * len(scaffolds))}
    place = np.full(len(sizes), "train", dtype=object)
    for group in rng.permutation(len(sizes)):
        if sizes[group] > len(scaffolds) / 20:
            continue
        for subset in ("test", "valid"):
            if sizes[group] <= quota[subset]:
                place[group] = subset
                quota[subset] -= sizes[group]
                break
    subsets: np.ndarray = place[number]
    return subsets


def summarise_split(frame: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Count molecules per class and subset, and what the subsets have in common.

    Parameters
    ----------
    frame
        Molecules with columns subset, label, smiles and scaffold (and reactants, if any).
    names
        Class names.

    Returns
    -------
    dict
        ``classes``: subset -> molecules per class; ``groups``: group per class;
        ``overlap``: pair of subsets -> molecules of the second subset whose canonical SMILES (or
        scaffold, or whole reaction) stands in the first.
    """
    counts = {
        subset: np.bincount(
            frame.loc[frame["subset"] == subset, "label"], minlength=len(names)
        ).tolist()
        for subset in (*SUBSETS, "unused")
    }
    keys = {"smiles": frame["smiles"], "scaffold": frame["scaffold"].where(frame["scaffold"] != "")}
    if "reactants" in frame:
        keys["reaction"] = frame["reactants"] + ">>" + frame["smiles"]
    overlap = {}
    for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
        overlap[f"{first}-{second}"] = {
            kind: _shared(key[frame["subset"] == first], key[frame["subset"] == second])
            for kind, key in keys.items()
        }
    return {"classes": counts, "groups": class_groups(counts["train"]), "overlap": overlap}


def _shared(first: pd.Series, second: pd.Series) -> int:
    return int(second.dropna().isin(set(first.dropna())).sum())
