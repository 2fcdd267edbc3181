"""The learning problem: molecules, classes and subsets, as positions and labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.data.split_digest import read_split
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata

TRAIN, VALID, TEST = "train", "valid", "test"


@dataclass(frozen=True)
class Problem:
    """A data set under one split.

    Attributes
    ----------
    dataset, split : str
        Names; they enter the seeds.
    class_names : list of str
        Length C.
    ids : numpy.ndarray
        Name of each molecule, [N].
    smiles : numpy.ndarray
        What each is: canonical SMILES, or the reaction, [N].
    labels : numpy.ndarray
        Class of each molecule, int64 [N].
    subsets : dict
        Part -> positions of its molecules, int64, ascending.
    parents : numpy.ndarray
        Number of each molecule's parent compound among those of the data set, int64 [N].
    new_parent : numpy.ndarray
        Whether no training molecule has the same parent, bool [N].
    split_sha256 : str
        Digest of the split.
    reads : str
        What is classified: ``smiles`` of molecules, or a whole ``reaction``.
    second : dict or None
        What the second input is, as `drugtail.config.dataset.SecondInput` says it.
    molecules : dict
        How the molecules were read, as `drugtail.config.dataset.Molecules` says it.
    """

    dataset: str
    split: str
    class_names: list[str]
    ids: NDArray[Any]
    smiles: NDArray[Any]
    labels: NDArray[np.int64]
    subsets: dict[str, NDArray[np.int64]]
    parents: NDArray[np.int64]
    new_parent: NDArray[np.bool_]
    split_sha256: str = ""
    molecules: dict[str, Any] = field(default_factory=dict)
    second: dict[str, Any] | None = None
    reads: str = "smiles"

    @property
    def classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    @property
    def train_counts(self) -> NDArray[np.int64]:
        """Training molecules per class, int64 [C]."""
        return np.bincount(self.labels[self.subsets[TRAIN]], minlength=self.classes)


def read_problem(molecules: Path, split: Path) -> Problem:
    """Join the molecules of a data set with one split of it.

    Raises
    ------
    DrugtailError
        If the split was edited, the two files do not belong together, or a class has no training
        molecule.
    """
    frame = read_parquet(molecules, ["id", "smiles", "label", "parent"])
    of_molecule = read_split(split, frame["id"], molecules)
    header = read_parquet_metadata(split)
    subsets = {
        subset: np.flatnonzero((of_molecule == subset).to_numpy())
        for subset in (TRAIN, VALID, TEST)
    }
    parents = pd.factorize(frame["parent"])[0].astype(np.int64)
    problem = Problem(
        dataset=header["dataset"],
        split=split.stem,
        class_names=header["class_names"],
        ids=frame["id"].to_numpy(),
        smiles=frame["smiles"].to_numpy(),
        labels=frame["label"].to_numpy(dtype=np.int64, copy=True),
        subsets=subsets,
        parents=parents,
        new_parent=~np.isin(parents, parents[subsets[TRAIN]]),
        split_sha256=header["sha256"],
        molecules=header.get("molecules", {}),
        second=header.get("second"),
        reads=header.get("reads", "smiles"),
    )
    empty = [problem.class_names[c] for c in np.flatnonzero(problem.train_counts == 0)]
    if empty:
        raise DrugtailError(f"{split}: class {empty[0]!r} has no training molecule; split anew")
    bare = [subset for subset, rows in subsets.items() if len(rows) == 0]
    if bare:
        raise DrugtailError(f"{split}: has no {bare[0]} molecules; split anew")
    return problem


def prediction_frame(
    problem: Problem,
    subset: str,
    seed: int,
    logits: NDArray[np.float32],
    uncertainty: NDArray[np.float32] | None = None,
) -> pd.DataFrame:
    """Return predictions of one subset, a row per molecule.

    Columns are id, subset, label, seed, parent (its number), new_parent and a logit per class.
    Methods that say how unsure they are have ``uncertainty`` besides.
    """
    rows = problem.subsets[subset]
    frame = pd.DataFrame(
        {
            "id": problem.ids[rows],
            "subset": subset,
            "label": problem.labels[rows],
            "seed": seed,
            "parent": problem.parents[rows],
            "new_parent": problem.new_parent[rows],
        }
    )
    columns = [f"logit_{c}" for c in range(problem.classes)]
    if uncertainty is not None:
        frame["uncertainty"] = uncertainty
    return frame.join(pd.DataFrame(logits, columns=columns))
