"""A graph isomorphism network that sees kinds of bonds."""

from __future__ import annotations

from torch_geometric.nn import GINEConv

from drugtail.config.encoders.gine import GINEEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS
from drugtail.models.graph_layers import GraphLayerStack, two_layers


@ENCODERS.register("gine")
class GINE(GraphLayerStack):
    """Graph isomorphism network on bonds, with PyTorch Geometric's GINEConv (Hu et al., 2020)."""

    def __init__(self, settings: GINEEncoder, shape: InputShape) -> None:
        width, bonds = settings.width, shape.edge_features
        super().__init__(
            settings, shape, lambda: GINEConv(two_layers(width), train_eps=True, edge_dim=bonds)
        )
