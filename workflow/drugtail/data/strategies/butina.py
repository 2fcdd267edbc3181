"""Clusters of similar molecules kept together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from drugtail.data.strategies.scaffold import cut_whole
from drugtail.data.strategy import STRATEGIES, Strategy

if TYPE_CHECKING:
    import pandas as pd


@STRATEGIES.register("butina")
class Butina(Strategy):
    """Cut 70/10/20 with Butina clusters kept together: Tanimoto distance 0.4 of Morgan bits.

    Parents are clustered (Butina, JCICS 1999, 39, 747), so they stay together, too. Clusters are
    divided as scaffolds are.
    """

    regroupable = False

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """See `Strategy.cut`."""
        import pandas as pd

        from drugtail.data.clusters import butina_clusters

        codes, parents = pd.factorize(molecules["parent"])
        clusters = butina_clusters(list(parents))
        self.facts["clusters"] = int(clusters.max()) + 1
        return cut_whole(clusters[codes], rng)
