"""The split that came with the data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drugtail.data.strategy import STRATEGIES, Strategy


@STRATEGIES.register("official")
class Official(Strategy):
    """Cut as the source of the data has published it."""

    seeded = False
    requires = ("official",)

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        return molecules["official"].to_numpy(dtype=object)
