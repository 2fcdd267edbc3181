"""The newest molecules tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.strategy import STRATEGIES, Strategy

if TYPE_CHECKING:
    import pandas as pd


@STRATEGIES.register("time")
class Time(Strategy):
    """The oldest 70 % train, the next 10 % validate, the newest 20 % are tested.

    A group is as old as its oldest molecule. The column is `columns.time` of the register: numbers,
    such as years, or dates as YYYY-MM-DD.
    """

    seeded = False
    requires = ("time",)

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        import pandas as pd

        groups = molecules["group"].to_numpy()
        numbers = pd.to_numeric(molecules["time"], errors="coerce")
        times = molecules["time"] if numbers.isna().any() else numbers
        oldest = times.groupby(groups).min()
        order = oldest.sort_values(kind="stable").index.to_numpy()
        filled = np.cumsum(np.bincount(groups)[order]) / len(groups)
        place = np.full(len(order), "train", dtype=object)
        place[order[filled > 0.7]] = "valid"
        place[order[filled > 0.8]] = "test"
        return np.asarray(place[groups])
