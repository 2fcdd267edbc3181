"""Principal neighbourhood aggregation."""

from __future__ import annotations

import torch
from torch_geometric.nn import PNAConv

from drugtail.config.encoders.pna import PNAEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS
from drugtail.models.graph_layers import GraphLayerStack

AGGREGATORS = ["mean", "min", "max", "std"]
SCALERS = ["identity", "amplification", "attenuation"]
# Atoms of the molecules of BBBP with 0, 1, 2, 3 and 4 bonds, in percent. PyTorch Geometric wants a
# histogram of training atoms, of which it takes the mean of log(bonds + 1); molecules hardly differ
# in that.
DEGREES = [0, 21, 45, 31, 3]


@ENCODERS.register("pna")
class PNA(GraphLayerStack):
    """Four ways to aggregate, scaled by degree, with PyTorch Geometric's PNAConv (Corso, 2020)."""

    def __init__(self, settings: PNAEncoder, shape: InputShape) -> None:
        width = settings.width
        super().__init__(
            settings,
            shape,
            lambda: PNAConv(
                width, width, AGGREGATORS, SCALERS, torch.tensor(DEGREES),
                edge_dim=shape.edge_features,
            ),
        )  # fmt: skip
