"""A graph transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GINEConv, GPSConv, global_add_pool
from torch_geometric.utils import to_dense_adj

from drugtail.config.encoders.gps import GPSEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS
from drugtail.models.graph_layers import check_heads, two_layers


@ENCODERS.register("gps")
class GPS(nn.Module):
    """Graph transformer, with PyTorch Geometric's GPSConv (Rampášek et al., NeurIPS 2022).

    Each layer has a GINE convolution, attention between all atoms of a molecule, and a perceptron.
    Atoms know their place by how probably random walks of 1 to K steps return to them.
    """

    def __init__(self, settings: GPSEncoder, shape: InputShape) -> None:
        super().__init__()
        width = settings.width
        check_heads(settings.name, width, settings.heads)
        self.width, self.steps = width, settings.walk_length
        self.first = nn.Linear(shape.features + self.steps, width)
        self.layers = nn.ModuleList(
            GPSConv(
                width,
                GINEConv(two_layers(width), edge_dim=shape.edge_features),
                heads=settings.heads,
                dropout=settings.dropout,
                norm_kwargs={"allow_single_element": True},
            )
            for _ in range(settings.layers)
        )

    def atoms(self, data: Data) -> Tensor:
        """Return features of atoms, [atoms, width]."""
        x: Tensor = self.first(torch.cat([data.x, returns(data, self.steps)], dim=1))
        for layer in self.layers:
            x = layer(x, data.edge_index, data.batch, edge_attr=data.edge_attr)
        return x

    def forward(self, data: Data) -> Tensor:
        """Return embeddings of molecules, [B, width]."""
        pooled: Tensor = global_add_pool(self.atoms(data), data.batch, data.num_graphs)
        return pooled


@torch.no_grad()
def returns(data: Data, steps: int) -> Tensor:
    """Return how probably random walks of 1 to `steps` steps end where they began, [atoms, steps].

    Dwivedi et al., ICLR 2022.
    """
    near = to_dense_adj(data.edge_index, data.batch, batch_size=data.num_graphs).to(data.x.dtype)
    step = near / near.sum(-1, keepdim=True).clamp(min=1)
    walk, found = step, [step.diagonal(dim1=1, dim2=2)]
    for _ in range(steps - 1):
        walk = walk @ step
        found.append(walk.diagonal(dim1=1, dim2=2))
    count = torch.bincount(data.batch, minlength=data.num_graphs)
    real = torch.arange(near.shape[1], device=count.device) < count[:, None]
    return torch.stack(found, dim=-1)[real]
