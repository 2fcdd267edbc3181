"""The network: an encoder and a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from drugtail.features.atoms import FEATURES
from drugtail.features.packed import Batch
from drugtail.models.classifiers import mlp_classifier
from drugtail.models.encoders import GCN

if TYPE_CHECKING:
    from drugtail.config import GraphEncoder


@dataclass(frozen=True)
class Output:
    """What a network says of a batch.

    Attributes
    ----------
    embedding : Tensor
        [molecules, D], not normalised.
    logits : Tensor
        [molecules, C].
    """

    embedding: Tensor
    logits: Tensor


class Network(nn.Module):
    """Graph encoder and classifier.

    Parameters
    ----------
    encoder
        Settings of both.
    classes
        Number of classes.
    seed
        Seed of the initial weights; the global random state is left as it was.
    """

    def __init__(self, encoder: GraphEncoder, classes: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = GCN(FEATURES, encoder.layers, encoder.width)
            self.classifier = mlp_classifier(encoder.width, encoder.head, classes)

    def forward(self, batch: Batch, type_features: Tensor, weight: Tensor | None = None) -> Output:
        """Embeddings and logits of a batch; see `GCN.forward`."""
        embedding = self.encoder(batch, type_features, weight)
        return Output(embedding, self.classifier(embedding))
