"""Stack of graph layers that encoders of PyTorch Geometric's layers share."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import BatchNorm, global_add_pool

from drugtail.config.graph_encoder import GraphLayers
from drugtail.features.batch import InputShape
from drugtail.runtime.errors import DrugtailError


class GraphLayerStack(nn.Module):
    """Graph layers with residual connections, and the sum over atoms.

    Each layer is the convolution, batch normalisation, ReLU and dropout, added to what it was
    given.

    Parameters
    ----------
    settings
        Number of layers, their width, and dropout.
    shape
        Numbers of atoms and bonds.
    make
        Makes a convolution from `width` to `width`.
    more
        Numbers of an atom beside those of the features, see `more`.
    """

    def __init__(
        self,
        settings: GraphLayers,
        shape: InputShape,
        make: Callable[[], nn.Module],
        more: int = 0,
    ) -> None:
        super().__init__()
        self.width = settings.width
        self.first = nn.Linear(shape.features + more, settings.width)
        self.convolutions = nn.ModuleList(make() for _ in range(settings.layers))
        self.norms = nn.ModuleList(normalisation(settings.width) for _ in range(settings.layers))
        self.dropout = nn.Dropout(settings.dropout)
        self.sees_bonds = "edge_attr" in signature(self.convolutions[0].forward).parameters

    def atoms(self, data: Data) -> Tensor:
        """Return features of atoms, [atoms, width]."""
        x: Tensor = self.first(data.x)
        bonds: tuple[Any, ...] = (data.edge_attr,) if self.sees_bonds else ()
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = x + self.dropout(norm(convolution(x, data.edge_index, *bonds)).relu())
        return x

    def forward(self, data: Data) -> Tensor:
        """Return embeddings of molecules, [B, width]."""
        pooled: Tensor = global_add_pool(self.atoms(data), data.batch, data.num_graphs)
        return pooled


def normalisation(width: int) -> nn.Module:
    """Return batch normalisation that a single atom passes, too."""
    norm: nn.Module = BatchNorm(width, allow_single_element=True)
    return norm


def two_layers(width: int) -> nn.Sequential:
    """Return the perceptron inside graph isomorphism layers."""
    return nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))


def check_heads(name: str, width: int, heads: int) -> None:
    """Refuse attention heads that do not divide the width."""
    if width % heads:
        raise DrugtailError(
            f"encoder {name}: width {width} is not divided by {heads} heads; choose other numbers"
        )
