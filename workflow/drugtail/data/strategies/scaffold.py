"""Molecules of one scaffold kept together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.strategy import STRATEGIES, Strategy

if TYPE_CHECKING:
    import pandas as pd


@STRATEGIES.register("scaffold")
class Scaffold(Strategy):
    """Cut 70/10/20 with molecules of one Bemis-Murcko scaffold kept together.

    Scaffolds are taken in random order: larger ones than a twentieth of the data stay in
    training, the others fill test, then validation, as long as they fit. Molecules without a
    ring have no scaffold and are kept together by their parent.
    """

    grouping = "scaffold"
    regroupable = False

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        return cut_whole(molecules["group"].to_numpy(), rng)


def cut_whole(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cut 70/10/20 in whole groups, whatever their classes.

    Parameters
    ----------
    groups
        Group of each molecule, 0 … G-1, [N].
    rng
        Source of chance.
    """
    sizes = np.bincount(groups)
    quota = {"test": round(0.2 * len(groups)), "valid": round(0.1 * len(groups))}
    place = np.full(len(sizes), "train", dtype=object)
    for group in rng.permutation(len(sizes)):
        if sizes[group] > len(groups) / 20:
            continue
        for subset in ("test", "valid"):
            if sizes[group] <= quota[subset]:
                place[group] = subset
                quota[subset] -= sizes[group]
                break
    return np.asarray(place[groups])
