"""Fully connected layers on fingerprints or other vectors, all seeds at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from drugtail.config.encoders.mlp import MLPEncoder
from drugtail.features.batch import InputShape
from drugtail.features.bits import BitBatch, sum_of_rows
from drugtail.features.vectors import VectorBatch
from drugtail.models.encoder import ENCODERS
from drugtail.models.stacked import BatchNorm, Dropout, Linear


@ENCODERS.register("mlp")
class MLP(nn.Module):
    """Multilayer perceptron: linear maps, each with batch normalisation and ReLU.

    Of a fingerprint the first map is the sum of as many rows of its matrix as bits are set. Other
    vectors are normalised by the batch first, since their columns have any scale.

    Parameters
    ----------
    settings
        Number of layers and their width.
    shape
        Numbers per molecule.
    """

    def __init__(self, settings: MLPEncoder, shape: InputShape) -> None:
        super().__init__()
        self.scale = BatchNorm(shape.features) if shape.form == "vector" else None
        one = nn.Linear(shape.features, settings.width)
        # A row for each number of a molecule, so that rows can be taken without a copy.
        self.weight = nn.Parameter(one.weight.detach().mT[None].contiguous())
        self.bias = nn.Parameter(one.bias.detach()[None])
        rest: list[nn.Module] = []
        for layer in range(settings.layers):
            if layer:
                rest.append(Linear(settings.width, settings.width))
            rest += [BatchNorm(settings.width), nn.ReLU(), Dropout(settings.dropout)]
        self.rest = nn.Sequential(*rest)
        self.width = settings.width

    def forward(self, batch: BitBatch | VectorBatch, keys: Tensor | None = None) -> Tensor:
        """Return one embedding per molecule, [S, B, width].

        Parameters
        ----------
        batch
            The molecules of S seeds.
        keys
            Source of randomness of each seed; nothing here is random.
        """
        if self.scale is not None:
            assert isinstance(batch, VectorBatch)
            x = torch.bmm(self.scale(batch.values), self.weight)
        else:
            assert isinstance(batch, BitBatch)
            x = sum_of_rows(batch, self.weight)
        embedding: Tensor = self.rest(x + self.bias[:, None])
        return embedding
