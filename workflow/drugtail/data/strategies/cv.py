"""Repeated cross-validation."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.strategy import STRATEGIES, Strategy
from drugtail.runtime.errors import DrugtailError

if TYPE_CHECKING:
    import pandas as pd

FOLDS = 5
# One of so many parts of what is not tested is for validation.
PARTS = 8


@STRATEGIES.register("cv")
class CrossValidation(Strategy):
    """Fold of a stratified group cross-validation: a fifth is tested, an eighth of the rest valid.

    ``cv-R-F`` is fold F of repetition R; ``cv-5x5`` in a benchmark stands for all 25 of five
    repetitions. Every molecule is tested once in each repetition, but for classes of a single
    group, which stay in training.
    """

    folds = FOLDS

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        # One draw per purpose, so that all folds of a repetition divide the data once.
        seeds = rng.integers(2**31, size=1 + FOLDS)
        subsets = np.full(len(molecules), "train", dtype=object)
        rows = _spread(molecules)
        tested = _folds(molecules.iloc[rows], FOLDS, int(seeds[0]))[self.fold]
        subsets[rows[tested]] = "test"
        rest = np.flatnonzero(subsets == "train")
        rest = rest[_spread(molecules.iloc[rest])]
        valid = _folds(molecules.iloc[rest], PARTS, int(seeds[1 + self.fold]))[0]
        subsets[rest[valid]] = "valid"
        return subsets


def _spread(molecules: pd.DataFrame) -> np.ndarray:
    """Rows of groups whose classes all have another group, so that training keeps one."""
    others = molecules.groupby("label")["group"].transform("nunique")
    return np.flatnonzero((others.groupby(molecules["group"]).transform("min") > 1).to_numpy())


def _folds(molecules: pd.DataFrame, folds: int, seed: int) -> list[np.ndarray]:
    """Rows of each fold.

    Raises
    ------
    DrugtailError
        If there are fewer groups than folds, or no class has as many molecules.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups = molecules["group"].nunique()
    if groups < folds:
        raise DrugtailError(
            f"a cross-validation needs {folds} groups of classes with two groups or more, and "
            f"there are {groups}: there is too little data, use random-0"
        )
    largest = int(molecules["label"].value_counts().max())
    if largest < folds:
        raise DrugtailError(
            f"a cross-validation needs a class of {folds} molecules or more, and the largest has "
            f"{largest} here: there is too little data, use random-0"
        )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # The summary says which class is not in which subset.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = splitter.split(molecules, molecules["label"], molecules["group"])
        return [rows for _, rows in parts]
