"""Cross-validation with few training molecules of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.strategies.cv import CrossValidation
from drugtail.data.strategy import STRATEGIES, UNUSED

if TYPE_CHECKING:
    import pandas as pd

SHOTS = 20


@STRATEGIES.register("fewshot")
class FewShot(CrossValidation):
    """Fold of a cross-validation that trains on at most 20 molecules of a class; names as of cv.

    Classes are then of one size, but for those that have fewer, so that how easy a class is can be
    told apart from how large it is. Head, middle and tail mean nothing among classes of one size.
    Molecules of a class that are trained on have different groups; validation and test are those of
    a whole fold, the other training molecules are unused.
    """

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        subsets = super().cut(molecules, rng)
        train = molecules.loc[subsets == "train", ["label", "group"]].reset_index(names="row")
        drawn = train.iloc[rng.permutation(len(train))].drop_duplicates(["label", "group"])
        kept = drawn.groupby("label").head(SHOTS)["row"]
        unused = np.setdiff1d(train["row"], kept)
        subsets[np.isin(molecules.index, unused)] = UNUSED
        self.facts["shots"] = SHOTS
        self.remarks.append(
            f"{len(unused):,} training molecules are unused: at most {SHOTS} of a class are taken; "
            "among classes of one size head, middle and tail mean nothing"
        )
        return subsets
