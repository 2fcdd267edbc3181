"""Heads that turn embeddings into logits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from drugtail.models.stacked import BatchNorm, Linear


def mlp_classifier(width: int, hidden: Sequence[int], classes: int) -> nn.Sequential:
    """Linear layers with batch normalisation and ReLU between them, [S, B, width] to [S, B, C].

    Parameters
    ----------
    width
        Width of the embedding.
    hidden
        Widths of the hidden layers, for example [128, 128].
    classes
        Number of logits.
    """
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [Linear(width, size), BatchNorm(size), nn.ReLU()]
        width = size
    return nn.Sequential(*layers, Linear(width, classes))
