"""Validation and test balanced, training long-tailed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.strategy import STRATEGIES, SUBSETS, UNUSED, Strategy
from drugtail.runtime.errors import DrugtailError

if TYPE_CHECKING:
    import pandas as pd

MOST_DRAWS = 1000


@STRATEGIES.register("standard")
class Standard(Strategy):
    """A plain 70/10/20 cut, validation and test then thinned to the size of their smallest class.

    Validation and test are balanced, training stays long-tailed; what is thinned out is
    ``unused``. A cut in which some class is missing from a subset is drawn again; ``draws`` says
    how many were.
    """

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`.

        Raises
        ------
        DrugtailError
            If 1,000 cuts all lack a class somewhere.
        """
        labels, groups = molecules["label"].to_numpy(), molecules["group"].to_numpy()
        classes, sizes = np.unique(labels), np.bincount(groups)
        test, valid = round(0.2 * len(labels)), round(0.1 * len(labels))
        for draws in range(1, MOST_DRAWS + 1):
            shuffled = rng.permutation(len(sizes))
            filled = np.cumsum(sizes[shuffled])
            place = np.full(len(sizes), "train", dtype=object)
            place[shuffled[filled <= test]] = "test"
            place[shuffled[(filled > test) & (filled <= test + valid)]] = "valid"
            subsets = place[groups]
            if all(np.isin(classes, labels[subsets == subset]).all() for subset in SUBSETS):
                rank = np.empty(len(sizes), dtype=int)
                rank[shuffled] = np.arange(len(sizes))
                order = np.argsort(rank[groups], kind="stable")
                for subset in ("valid", "test"):
                    smallest = min(np.bincount(labels[subsets == subset])[classes])
                    for label in classes:
                        members = order[(labels[order] == label) & (subsets[order] == subset)]
                        subsets[members[smallest:]] = UNUSED
                self.facts["draws"] = draws
                return np.asarray(subsets)
        raise DrugtailError(
            f"a standard split needs every class in train, valid and test, but {MOST_DRAWS} "
            "random cuts all lack one; the smallest class is too small: use random-0"
        )
