"""Heads that turn embeddings into logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drugtail.models.stacked import BatchNorm, Dropout, Linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugtail.config.components.network import LastLayer


class CosineLayer(nn.Module):
    """s_c = scale · cos(w_c, h), one map per seed.

    Parameters
    ----------
    width_in, width_out
        Widths.
    scale
        Largest logit.
    """

    def __init__(self, width_in: int, width_out: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(Linear(width_in, width_out, bias=False).weight.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Map [S, n, width_in] to [S, n, width_out]."""
        cosines = torch.bmm(F.normalize(x, dim=2), F.normalize(self.weight, dim=2).mT)
        return self.scale * cosines


class Head(nn.Module):
    """Linear layers with batch normalisation and ReLU between them, and a last layer.

    Parameters
    ----------
    width
        Width of the embedding.
    hidden
        Widths of the hidden layers, for example [128, 128].
    classes
        Number of logits.
    last
        Which last layer; None is a linear one.
    dropout
        Dropout after each hidden layer.
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        classes: int,
        last: LastLayer | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in hidden:
            layers += [Linear(width, size), BatchNorm(size), nn.ReLU(), Dropout(dropout)]
            width = size
        self.hidden = nn.Sequential(*layers)
        self.last: Linear | CosineLayer
        if last is None or last.name == "linear":
            self.last = Linear(width, classes)
        else:
            self.last = CosineLayer(width, classes, last.scale)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Features, [S, B, H], and logits, [S, B, C], of embeddings, [S, B, width]."""
        features = self.hidden(embedding)
        return features, self.last(features)
