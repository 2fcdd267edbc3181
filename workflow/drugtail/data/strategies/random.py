"""Every class cut by itself, at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.grouping import group_labels, taken
from drugtail.data.strategy import STRATEGIES, Strategy

if TYPE_CHECKING:
    import pandas as pd


@STRATEGIES.register("random")
class Random(Strategy):
    """Per class, 20 % test, then an eighth of the rest validation (70/10/20), in whole groups.

    A group counts as its rarest class. Groups are taken in random order as long as they fit. A
    class of three groups or more has one in each subset at least; one of two has none in
    validation, one of a single group is in training alone.
    """

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        return cut_classes(molecules, rng)


def cut_classes(
    molecules: pd.DataFrame, rng: np.random.Generator, test_share: float = 0.2
) -> np.ndarray:
    """Cut every class by itself; an eighth of what is not tested is for validation.

    Parameters
    ----------
    molecules
        See `Strategy.cut`.
    rng
        Source of chance.
    test_share
        Share of each class that is tested, 0 for none.
    """
    groups = molecules["group"].to_numpy()
    labels, sizes = group_labels(molecules), np.bincount(groups)
    subsets = np.full(len(sizes), "train", dtype=object)
    for label in np.unique(labels):
        order = rng.permutation(np.flatnonzero(labels == label)).tolist()
        total = int(sizes[order].sum())
        test = max(1, round(test_share * total)) if test_share else 0
        valid = max(1, round((total - test) / 8))
        if test and len(order) > 1:
            chosen = taken(order, sizes, test)
            subsets[chosen] = "test"
            order = [group for group in order if subsets[group] == "train"]
        if len(order) > 1:
            subsets[taken(order, sizes, valid)] = "valid"
    return np.asarray(subsets[groups])
