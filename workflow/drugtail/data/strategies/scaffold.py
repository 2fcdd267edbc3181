"""Molecules of one scaffold kept together."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drugtail.data.strategy import STRATEGIES, Strategy


@STRATEGIES.register("scaffold")
class Scaffold(Strategy):
    """Cut 70/10/20 with molecules of one Bemis-Murcko scaffold kept together.

    Scaffolds are taken in random order: larger ones than a twentieth of the data stay in
    training, the others fill test, then validation, as long as they fit. Molecules without a
    ring have no scaffold and count each for itself.
    """

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        scaffolds = molecules["scaffold"].to_numpy()
        alone = [f"#{i}" for i in range(len(scaffolds))]
        number = pd.factorize(pd.Series(scaffolds).where(scaffolds != "", alone))[0]
        sizes = np.bincount(number)
        quota = {"test": round(0.2 * len(scaffolds)), "valid": round(0.1 * len(scaffolds))}
        place = np.full(len(sizes), "train", dtype=object)
        for group in rng.permutation(len(sizes)):
            if sizes[group] > len(scaffolds) / 20:
                continue
            for subset in ("test", "valid"):
                if sizes[group] <= quota[subset]:
                    place[group] = subset
                    quota[subset] -= sizes[group]
                    break
        subsets: np.ndarray = place[number]
        return subsets
