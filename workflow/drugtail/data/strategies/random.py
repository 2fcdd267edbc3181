"""Every class cut by itself, at random."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drugtail.data.strategy import STRATEGIES, Strategy


@STRATEGIES.register("random")
class Random(Strategy):
    """Per class, 20 % test, then an eighth of the rest validation (70/10/20).

    Each class has at least one molecule in each subset.
    """

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        labels = molecules["label"].to_numpy()
        subsets = np.full(len(labels), "train", dtype=object)
        for label in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == label))
            test = max(1, round(0.2 * len(members)))
            valid = max(1, round((len(members) - test) / 8))
            subsets[members[:test]] = "test"
            subsets[members[test : test + valid]] = "valid"
        return subsets
