"""A graph attention network."""

from __future__ import annotations

from torch_geometric.nn import GATv2Conv

from drugtail.config.encoders.gat import GATEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS
from drugtail.models.graph_layers import GraphLayerStack, check_heads


@ENCODERS.register("gat")
class GAT(GraphLayerStack):
    """Graph attention network, with PyTorch Geometric's GATv2Conv (Brody et al., ICLR 2022)."""

    def __init__(self, settings: GATEncoder, shape: InputShape) -> None:
        width, heads = settings.width, settings.heads
        check_heads(settings.name, width, heads)
        super().__init__(
            settings,
            shape,
            lambda: GATv2Conv(width, width // heads, heads, edge_dim=shape.edge_features),
        )
