"""A graph isomorphism network."""

from __future__ import annotations

from torch_geometric.nn import GINConv

from drugtail.config.encoders.gin import GINEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS
from drugtail.models.graph_layers import GraphLayerStack, two_layers


@ENCODERS.register("gin")
class GIN(GraphLayerStack):
    """Graph isomorphism network, with PyTorch Geometric's GINConv (Xu et al., ICLR 2019)."""

    def __init__(self, settings: GINEncoder, shape: InputShape) -> None:
        super().__init__(
            settings, shape, lambda: GINConv(two_layers(settings.width), train_eps=True)
        )
