"""Cutting a data set into train, valid and test, and saying what the cut is like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drugtail.config.split_name import SplitName
from drugtail.data.clusters import nearest_similarity
from drugtail.data.grouping import group_molecules
from drugtail.data.groups import class_groups
from drugtail.data.split_digest import read_facts, split_digest
from drugtail.data.strategy import STRATEGIES, SUBSETS, UNUSED, Strategy
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError, fault_in
from drugtail.runtime.files import write_json
from drugtail.runtime.logging import counted, say
from drugtail.runtime.parquet import read_parquet, write_parquet
from drugtail.runtime.seeds import derive_seed

# Tested parents whose nearest neighbour is looked for; the others differ from them by chance.
MOST_COMPARED = 500
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# Test molecules below which a single class's recall says little.
FEW_TESTED = 10
# Validation molecules below which a class's recall chooses by chance.
FEW_VALIDATED = 3


def split_dataset(
    molecules: Path,
    strategy: str,
    seed: int,
    output: Path,
    *,
    fold: int = 0,
    grouping: str | None = None,
) -> None:
    """Write one split: ``{output}.parquet`` (id, subset) and its summary ``{output}.json``.

    Parameters
    ----------
    molecules
        ``molecules.parquet`` of the data set.
    strategy
        Name of a registered strategy, see ``drugtail list splits``.
    seed
        Split seed, of cross-validation the repetition; another seed gives another split. A strategy
        without seeds ignores it.
    output
        Path without extension.
    fold
        Fold of a cross-validation.
    grouping
        What keeps molecules together, see `drugtail.data.grouping.group_molecules`; None leaves it
        to the strategy.

    Raises
    ------
    DrugtailError
        If there is no such strategy, fold or grouping, a class has no training molecule, or the cut
        is none.
    """
    frame = read_parquet(molecules)
    dataset = read_facts(molecules)
    names = dataset["class_names"]
    if len(names) < 2:
        raise DrugtailError(f"{molecules}: has one class; there is nothing to tell apart")
    kind = _found(strategy)
    name = SplitName(
        strategy, seed if kind.seeded else None, fold if kind.folds else None, grouping
    )
    where = f"split {name} of {dataset['dataset']}"
    _check_request(kind, frame, dataset, molecules, where, strategy, fold, grouping)
    grouping = grouping or kind.grouping
    grouped = frame.assign(group=group_molecules(frame, grouping or "none", where))
    stream = derive_seed("split", dataset["dataset"], strategy, seed)
    cutter, again = kind(fold), kind(fold)
    subsets = _cut(cutter, grouped, np.random.default_rng(stream), where)
    second = _cut(again, grouped, np.random.default_rng(stream), where)
    if not pd.Series(list(subsets)).equals(pd.Series(list(second))):
        raise DrugtailError(
            f"{where} came out otherwise when it was cut a second time; take all chance from `rng`"
        )
    _check_cut(subsets, grouped, names, where, grouping)
    if grouping is not None:
        _check_groups(subsets, grouped, grouping, where)

    table = pd.DataFrame({"id": frame["id"], "subset": subsets})
    summary = summarise_split(frame.assign(subset=subsets), names)
    for remark in [*cutter.remarks, *remarks_on(summary, names)]:
        say(f"{where}: {remark}")
    header = {
        **dataset,
        "split": str(name),
        "strategy": strategy,
        # There is one split of a strategy without seeds.
        "seed": seed if kind.seeded else None,
        "fold": fold if kind.folds else None,
        "grouping": grouping,
        **cutter.facts,
        "sha256": split_digest(table),
        # The split belongs to these molecules and no others.
        "molecules_sha256": file_digest(molecules),
        "train_counts": summary["classes"]["train"],
    }
    write_parquet(output.with_name(output.name + ".parquet"), table, header)
    write_json(output.with_name(output.name + ".json"), {**header, **summary})


def _found(strategy: str) -> type[Strategy]:
    if strategy not in STRATEGIES.names():
        raise DrugtailError(
            f"--strategy {strategy!r}: there are {', '.join(STRATEGIES.names())}; one of your own "
            "needs its Python file beside it: --plugin"
        )
    return STRATEGIES[strategy]


def _check_request(
    kind: type[Strategy],
    frame: pd.DataFrame,
    dataset: dict[str, Any],
    molecules: Path,
    where: str,
    strategy: str,
    fold: int,
    grouping: str | None,
) -> None:
    """Refuse what a strategy does not do, or not with these molecules."""
    lacking = [column for column in kind.requires if column not in frame]
    if lacking:
        column = f"column {lacking[0]!r}, which strategy {strategy!r} reads"
        what = "published split" if lacking[0] == "official" else column
        raise DrugtailError(
            f"{molecules}: the source of {dataset['dataset']} has no {what}; "
            "use random-0, standard-0 or scaffold-0"
        )
    if fold and fold >= kind.folds:
        folds = f"folds 0 to {kind.folds - 1}" if kind.folds else "no folds"
        raise DrugtailError(f"{where}: fold {fold}: {strategy} has {folds}")
    if grouping is not None and not kind.regroupable:
        raise DrugtailError(
            f"{where}: {strategy} says itself what stays together; leave {grouping!r} out"
        )


def _cut(cutter: Strategy, frame: pd.DataFrame, rng: np.random.Generator, where: str) -> np.ndarray:
    """Subset per molecule; what goes wrong in a strategy of a user's is one line."""
    try:
        return np.asarray(cutter.cut(frame, rng), dtype=object)
    except DrugtailError:
        raise
    except Exception as error:
        raise DrugtailError(f"{where}: {fault_in(type(cutter), error)}") from error


def _check_cut(
    subsets: np.ndarray, grouped: pd.DataFrame, names: list[str], where: str, grouping: str | None
) -> None:
    """Refuse what is no cut of these molecules, or one that nothing can be learned from."""
    labels = grouped["label"].to_numpy()
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
            f"{where} leaves class {names[empty[0]]!r} without training molecules"
            f"{_grouped_by(grouped[labels == empty[0]], grouping)}; use another split (seed or "
            "strategy), or `minimum_class_size` in the register"
        )
    for subset in SUBSETS:
        if not np.any(subsets == subset):
            raise DrugtailError(
                f"{where} leaves {subset} empty{_grouped_by(grouped, grouping)}; use another "
                f"{'' if _is_few(grouped, grouping) else 'split seed or '}strategy"
            )


def _is_few(molecules: pd.DataFrame, grouping: str | None) -> bool:
    """Return whether there are too few groups for three subsets, whatever the seed."""
    return grouping not in (None, "none") and molecules["group"].nunique() < len(SUBSETS)


def _grouped_by(molecules: pd.DataFrame, grouping: str | None) -> str:
    """Return the number of groups and the largest one's share, for messages."""
    if grouping in (None, "none"):
        return ""
    sizes = molecules["group"].value_counts()
    return (
        f" ({counted(len(molecules), 'molecule')} in {counted(len(sizes), 'group')} by {grouping}, "
        f"which stay whole; the largest holds {sizes.iloc[0] / len(molecules):.0%})"
    )


def _check_groups(subsets: np.ndarray, grouped: pd.DataFrame, grouping: str, where: str) -> None:
    """Refuse a cut that puts one group into two subsets."""
    used = grouped.assign(subset=subsets)[subsets != UNUSED]
    sides = used.groupby("group")["subset"].nunique()
    if (sides > 1).any():
        members = used[used["group"] == sides.idxmax()]
        one, two = members.drop_duplicates("subset").iloc[:2].itertuples()
        raise DrugtailError(
            f"{where} puts {one.id!r} into {one.subset} and {two.id!r} into {two.subset}, which "
            f"have one {grouping}; cut whole groups (column `group`), or write "
            "`grouping = None` in the strategy if that is meant"
        )


def summarise_split(frame: pd.DataFrame, names: list[str]) -> dict[str, Any]:
    """Count molecules per class and subset, and what the subsets have in common.

    Parameters
    ----------
    frame
        Molecules with columns subset, label, smiles, parent and scaffold (and reactants, if any).
    names
        Class names.

    Returns
    -------
    dict
        ``classes``: subset -> molecules per class; ``groups``: group per class;
        ``absent``: subset -> names of classes without a molecule there;
        ``overlap``: pair of subsets -> molecules of the second subset whose canonical SMILES (or
        parent, or scaffold, or whole reaction) stands in the first;
        ``test_parents``: distinct parents that are tested;
        ``similarity``: Tanimoto similarity (Morgan, radius 2, 2,048 bits) of tested parents to the
        nearest training parent: ``parents`` compared of ``of``, and quantiles.
    """
    counts = {
        subset: np.bincount(
            frame.loc[frame["subset"] == subset, "label"], minlength=len(names)
        ).tolist()
        for subset in (*SUBSETS, UNUSED)
    }
    keys = {
        "smiles": frame["smiles"],
        "parent": frame["parent"],
        "scaffold": frame["scaffold"].where(frame["scaffold"] != ""),
    }
    if "reactants" in frame:
        keys["reaction"] = frame["reactants"] + ">>" + frame["smiles"]
    overlap = {}
    for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
        overlap[f"{first}-{second}"] = {
            kind: _shared(key[frame["subset"] == first], key[frame["subset"] == second])
            for kind, key in keys.items()
        }
    absent = {
        subset: [name for name, count in zip(names, counts[subset], strict=True) if count == 0]
        for subset in ("valid", "test")
    }
    return {
        "classes": counts,
        "groups": class_groups(counts["train"]),
        "absent": absent,
        "overlap": overlap,
        "test_parents": int(frame["parent"][frame["subset"] == "test"].nunique()),
        "similarity": _similarity(frame),
    }


def _shared(first: pd.Series, second: pd.Series) -> int:
    return int(second.dropna().isin(set(first.dropna())).sum())


def _similarity(frame: pd.DataFrame) -> dict[str, Any]:
    """Similarity of tested parents to the nearest training parent."""
    train, test = (frame["parent"][frame["subset"] == name].unique() for name in ("train", "test"))
    chosen = np.random.default_rng(0).permutation(len(test))[:MOST_COMPARED]
    found = nearest_similarity([str(test[i]) for i in chosen], [str(one) for one in train])
    quantiles = np.quantile(found, QUANTILES)
    return {
        "parents": len(chosen),
        "of": len(test),
        "quantiles": {
            f"{quantile:g}": round(float(value), 3)
            for quantile, value in zip(QUANTILES, quantiles, strict=True)
        },
    }


def remarks_on(summary: dict[str, Any], names: list[str]) -> list[str]:
    """Return what a user must know of a split before believing a figure on it."""
    remarks = []
    tested = sum(summary["classes"]["test"])
    shared = summary["overlap"]["train-test"]
    if shared["parent"]:
        same = f", {shared['smiles']:,} the very molecule" if shared["smiles"] else ""
        remarks.append(
            f"{shared['parent']:,} of {tested:,} test molecules ({shared['parent'] / tested:.1%}) "
            f"have their parent compound in training{same}; see `test_new_parents` for the others"
        )
    for subset, absent in summary["absent"].items():
        if absent:
            shown = ", ".join(absent[:3]) + (", …" if len(absent) > 3 else "")
            remarks.append(
                f"{len(absent)} of {len(names)} classes have too few groups to stand in {subset} "
                f"({shown}); means over classes leave them out"
            )
    validated = min(filter(None, summary["classes"]["valid"]), default=FEW_VALIDATED)
    if validated < FEW_VALIDATED:
        remarks.append(
            f"the smallest class in valid has {counted(validated, 'molecule')}: an epoch, a "
            "setting or a threshold that is chosen by its recall is largely chosen by chance"
        )
    smallest = min(count for count in summary["classes"]["test"] if count)
    if smallest < FEW_TESTED:
        error = 100 * (0.25 / smallest) ** 0.5
        remarks.append(
            f"the smallest tested class has {counted(smallest, 'molecule')}: its recall has "
            f"a standard error of up to {error:.0f} points"
        )
    return remarks
