"""The five folds of Meyer et al., J. Chem. Inf. Model. 2019, 59, 4438, on MeSH drug classes.

Theirs are those of an earlier scikit-learn without shuffling: each class, in the order of the
table, in five pieces. Molecules of one parent stand on both sides.
"""

import numpy as np
import pandas as pd

from drugtail.data.strategy import STRATEGIES, Strategy

FOLDS = 5
# One of so many training molecules of a class is for validation.
PARTS = 8


@STRATEGIES.register("meyer")
class MeyerFolds(Strategy):
    """Fold of a stratified cross-validation in the order of the table; nothing is kept together.

    ``meyer-0-F`` is fold F. Theirs have no validation part: here it is an eighth of training.
    """

    folds = FOLDS
    grouping = None

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        subsets = np.full(len(molecules), "train", dtype=object)
        for rows in molecules.groupby("label").indices.values():
            tested = np.array_split(rows, FOLDS)[self.fold]
            subsets[tested] = "test"
            rest = rng.permutation(np.setdiff1d(rows, tested))
            subsets[rest[: max(1, len(rest) // PARTS)]] = "valid"
        return subsets
