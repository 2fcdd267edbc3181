"""The published split without training molecules that are known from the other parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.strategies.official import Official
from drugtail.data.strategy import STRATEGIES, UNUSED

if TYPE_CHECKING:
    import pandas as pd


@STRATEGIES.register("official_purged")
class OfficialPurged(Official):
    """The published split; training molecules whose parent is in validation or test are unused.

    Validation molecules whose parent is in the test are unused, too.
    """

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        subsets = molecules["official"].to_numpy(dtype=object, copy=True)
        parents = molecules["parent"]
        for later, earlier in ((("test",), "valid"), (("valid", "test"), "train")):
            known = set(parents[np.isin(subsets, later)])
            subsets[(subsets == earlier) & parents.isin(known).to_numpy()] = UNUSED
        purged = int((subsets == UNUSED).sum())
        self.facts["purged"] = purged
        self.remarks.append(f"{purged:,} molecules are unused: their parent is in another subset")
        return self.with_valid(subsets, molecules, rng)
