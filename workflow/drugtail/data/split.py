"""Cutting a data set into train, valid and test, and saying what the cut is like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drugtail.data.groups import class_groups
from drugtail.data.split_digest import split_digest
from drugtail.data.strategy import STRATEGIES, SUBSETS, UNUSED, Strategy
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError, fault_in
from drugtail.runtime.files import read_parquet, read_parquet_metadata, write_json, write_parquet
from drugtail.runtime.seeds import derive_seed


def split_dataset(molecules: Path, strategy: str, seed: int, output: Path) -> None:
    """Write one split: ``{output}.parquet`` (id, subset) and its summary ``{output}.json``.

    Parameters
    ----------
    molecules
        ``molecules.parquet`` of the data set.
    strategy
        Name of a registered strategy, see ``drugtail list splits``.
    seed
        Split seed; another seed gives another split. A strategy without seeds ignores it.
    output
        Path without extension.

    Raises
    ------
    DrugtailError
        If there is no such strategy, a class has too few molecules to stand in all subsets, or the
        cut is none.
    """
    frame = read_parquet(molecules)
    dataset = read_parquet_metadata(molecules)
    names = dataset["class_names"]
    _check_classes(frame["label"].to_numpy(), dataset, molecules)
    cutter = _found(strategy)
    lacking = [column for column in cutter.requires if column not in frame]
    if lacking:
        column = f"column {lacking[0]!r}, which strategy {strategy!r} reads"
        what = "published split" if lacking[0] == "official" else column
        raise DrugtailError(
            f"{molecules}: the source of {dataset['dataset']} has no {what}; "
            "use random-0, standard-0 or scaffold-0"
        )
    stream = derive_seed("split", dataset["dataset"], strategy, seed)
    where = f"split {strategy}-{seed}" if cutter.seeded else f"split {strategy}"
    where += f" of {dataset['dataset']}"
    subsets = _cut(cutter, frame, np.random.default_rng(stream), where)
    again = _cut(_found(strategy), frame, np.random.default_rng(stream), where)
    if not pd.Series(list(subsets)).equals(pd.Series(list(again))):
        raise DrugtailError(
            f"{where} came out otherwise when it was cut a second time; take all chance from `rng`"
        )
    _check_cut(subsets, frame["label"].to_numpy(), names, where)

    table = pd.DataFrame({"id": frame["id"], "subset": subsets})
    summary = summarise_split(frame.assign(subset=subsets), names)
    header = {
        **dataset,
        "strategy": strategy,
        # There is one split of a strategy without seeds.
        "seed": seed if cutter.seeded else None,
        **cutter.facts,
        "sha256": split_digest(table),
        # The split belongs to these molecules and no others.
        "molecules_sha256": file_digest(molecules),
        "train_counts": summary["classes"]["train"],
    }
    write_parquet(output.with_name(output.name + ".parquet"), table, header)
    write_json(output.with_name(output.name + ".json"), {**header, **summary})


def _found(strategy: str) -> Strategy:
    if strategy not in STRATEGIES.names():
        raise DrugtailError(
            f"--strategy {strategy!r}: there are {', '.join(STRATEGIES.names())}; one of your own "
            "needs its Python file beside it: --plugin"
        )
    return STRATEGIES[strategy]()


def _cut(cutter: Strategy, frame: pd.DataFrame, rng: np.random.Generator, where: str) -> np.ndarray:
    """Subset per molecule; what goes wrong in a strategy of a user's is one line."""
    try:
        return np.asarray(cutter.cut(frame, rng), dtype=object)
    except DrugtailError:
        raise
    except Exception as error:
        raise DrugtailError(f"{where}: {fault_in(type(cutter), error)}") from error


def _check_classes(labels: np.ndarray, dataset: dict[str, Any], molecules: Path) -> None:
    """Refuse data that no strategy can cut."""
    names = dataset["class_names"]
    counts = np.bincount(labels, minlength=len(names))
    few = [i for i, count in enumerate(counts) if count < len(SUBSETS)]
    if few:
        raise DrugtailError(
            f"{molecules}: class {names[few[0]]!r} has {counts[few[0]]} molecules; a class needs "
            "at least 3 to stand in train, valid and test: merge it with another, or name those "
            f"to keep in `classes` of config/datasets/{dataset['dataset']}.yaml"
        )
    if len(names) < 2:
        raise DrugtailError(f"{molecules}: has one class; there is nothing to tell apart")


def _check_cut(subsets: np.ndarray, labels: np.ndarray, names: list[str], where: str) -> None:
    """Refuse what is no cut of these molecules, or one that nothing can be learned from."""
    if subsets.shape != labels.shape:
        raise DrugtailError(
            f"{where} has shape {list(subsets.shape)} for {len(labels)} molecules; `cut` must "
            "return the subset of each"
        )
    known = (*SUBSETS, UNUSED)
    for row in np.flatnonzero(~pd.Series(subsets).isin(known))[:1]:
        raise DrugtailError(
            f"{where} puts molecule {row} into {subsets[row]!r}; use {', '.join(known)}"
        )
    empty = sorted(set(range(len(names))) - set(labels[subsets == "train"]))
    if empty:
        raise DrugtailError(
            f"{where} leaves class {names[empty[0]]!r} without training molecules; use another "
            "split (seed or strategy)"
        )
    for subset in SUBSETS:
        if not np.any(subsets == subset):
            raise DrugtailError(
                f"{where} leaves {subset} empty; use another split seed or strategy"
            )


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
        for subset in (*SUBSETS, UNUSED)
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
