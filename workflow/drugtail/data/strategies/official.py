"""The split that came with the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.grouping import group_molecules
from drugtail.data.strategies.random import cut_classes
from drugtail.data.strategy import STRATEGIES, Strategy

if TYPE_CHECKING:
    import pandas as pd


@STRATEGIES.register("official")
class Official(Strategy):
    """Cut as the source of the data has published it.

    Where no validation molecules are published, an eighth of the training ones is cut off, by
    class and in whole parents.
    """

    seeded = False
    grouping = None
    regroupable = False
    requires = ("official",)

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        return self.with_valid(molecules["official"].to_numpy(dtype=object), molecules, rng)

    def with_valid(
        self, subsets: np.ndarray, molecules: pd.DataFrame, rng: np.random.Generator
    ) -> np.ndarray:
        """Return subsets that include validation molecules."""
        if (subsets == "valid").any():
            return subsets
        rows = np.flatnonzero(subsets == "train")
        train = molecules.iloc[rows].reset_index(drop=True)
        train["group"] = group_molecules(train, "parent", "official")
        subsets = subsets.copy()
        subsets[rows] = cut_classes(train, rng, test_share=0)
        cut = int((subsets == "valid").sum())
        self.facts["valid_cut_from_train"] = cut
        self.remarks.append(
            f"the source published no validation part: {cut:,} of {len(rows):,} training molecules "
            "were cut off for it"
        )
        return subsets
