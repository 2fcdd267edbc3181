"""An encoder of graphs with a vector of numbers beside its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from drugtail.config.encoders.graph_and_vector import GraphAndVectorEncoder
from drugtail.config.encoders.mlp import MLPEncoder
from drugtail.features.batch import InputShape
from drugtail.features.graph_and_vector import GraphAndVectorBatch
from drugtail.models.encoder import ENCODERS, join_seeds, make_encoder
from drugtail.models.encoders.mlp import MLP
from drugtail.models.stacked import stack


@ENCODERS.register("graph_and_vector")
class GraphAndVector(nn.Module):
    """Any encoder of graphs, and a perceptron on the vector; the embedding is both side by side.

    Parameters
    ----------
    settings
        Of the graph encoder, and of the perceptron.
    shape
        Numbers of atoms, bonds and the vector.
    """

    def __init__(self, settings: GraphAndVectorEncoder, shape: InputShape) -> None:
        super().__init__()
        graph = InputShape("graph", shape.features, shape.edge_features)
        self.graph = make_encoder(settings.graph, graph)
        perceptron = MLPEncoder(
            name=settings.name, kind="mlp", layers=settings.vector_layers,
            width=settings.vector_width, dropout=settings.dropout,
        )  # fmt: skip
        self.vector = MLP(perceptron, InputShape("vector", shape.vector))
        self.width = cast(int, self.graph.width) + self.vector.width

    @staticmethod
    def join(settings: GraphAndVectorEncoder, modules: Sequence[GraphAndVector]) -> nn.Module:
        """Join the modules of several seeds; see `drugtail.models.encoder.join_seeds`."""
        return _Joined(
            join_seeds(settings.graph, [module.graph for module in modules]),
            stack([module.vector for module in modules]),
        )


class _Joined(nn.Module):
    """The modules of several seeds, computed together."""

    def __init__(self, graph: nn.Module, vector: MLP) -> None:
        super().__init__()
        self.graph, self.vector = graph, vector
        self.width = cast(int, graph.width) + vector.width

    def forward(self, batch: GraphAndVectorBatch, keys: Tensor | None = None) -> Tensor:
        """Return one embedding per molecule, [S, B, width].

        Parameters
        ----------
        batch
            The molecules of S seeds.
        keys
            Source of randomness of each seed, for a graph encoder that draws.
        """
        graph = self.graph(batch.graph, keys)
        return torch.cat([graph, self.vector(batch.vector, keys)], dim=-1)
