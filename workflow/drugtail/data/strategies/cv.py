"""Repeated cross-validation."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from drugtail.data.strategy import STRATEGIES, Strategy

FOLDS = 5


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
        spread = molecules.groupby("label")["group"].transform("nunique").to_numpy() > 1
        rows = np.flatnonzero(spread)
        tested = _folds(molecules.iloc[rows], FOLDS, int(seeds[0]))[self.fold]
        subsets[rows[tested]] = "test"
        rest = np.flatnonzero(spread & (subsets == "train"))
        valid = _folds(molecules.iloc[rest], 8, int(seeds[1 + self.fold]))[0]
        subsets[rest[valid]] = "valid"
        return subsets


def _folds(molecules: pd.DataFrame, folds: int, seed: int) -> list[np.ndarray]:
    """Rows of each fold."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # The summary says which class is not in which subset.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = splitter.split(molecules, molecules["label"], molecules["group"])
        return [rows for _, rows in parts]
