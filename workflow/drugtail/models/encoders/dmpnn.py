"""Message passing along directed bonds."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import global_add_pool, global_mean_pool

from drugtail.config.encoders.dmpnn import DMPNNEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS
from drugtail.runtime.errors import DrugtailError

POOLING = {"mean": global_mean_pool, "sum": global_add_pool}


@ENCODERS.register("dmpnn")
class DMPNN(nn.Module):
    """Messages along directed bonds: chemprop's BondMessagePassing (Yang et al., JCIM 2019).

    A bond of which a view has dropped one direction loses both.
    """

    def __init__(self, settings: DMPNNEncoder, shape: InputShape) -> None:
        super().__init__()
        try:
            from chemprop.nn.message_passing import BondMessagePassing
        except ImportError:
            raise DrugtailError(
                "encoder 'dmpnn' needs the package chemprop: pip install chemprop"
            ) from None
        self.width = settings.width
        self.messages = BondMessagePassing(
            shape.features, shape.edge_features, settings.width, depth=settings.layers,
            dropout=settings.dropout,
        )  # fmt: skip
        self.pooling = POOLING[settings.pooling]

    def forward(self, data: Data) -> Tensor:
        """Return embeddings of molecules, [B, width]."""
        kept, reverse = both_directions(data.edge_index, len(data.x))
        graph = SimpleNamespace(
            V=data.x, E=data.edge_attr[kept], edge_index=data.edge_index[:, kept],
            rev_edge_index=reverse, batch=data.batch,
        )  # fmt: skip
        pooled: Tensor = self.pooling(self.messages(graph), data.batch, data.num_graphs)
        return pooled


def both_directions(edges: Tensor, atoms: int) -> tuple[Tensor, Tensor]:
    """Return the edges whose reverse is there, too, and the place of that among them.

    Parameters
    ----------
    edges
        int64 [2, edges].
    atoms
        Number of atoms.

    Returns
    -------
    kept, reverse
        Positions of edges, and of their reverses among those kept, int64 [kept].
    """
    forwards, backwards = edges[0] * atoms + edges[1], edges[1] * atoms + edges[0]
    kept = torch.isin(forwards, backwards).nonzero().flatten()
    forwards, backwards = forwards[kept], backwards[kept]
    reverse = torch.empty_like(kept)
    reverse[backwards.argsort()] = forwards.argsort()
    return kept, reverse
