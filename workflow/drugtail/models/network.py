"""The network: an encoder and a classifier, for one seed or several at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from drugtail.features.atoms import FEATURES
from drugtail.features.packed import Batch
from drugtail.models.classifiers import mlp_classifier
from drugtail.models.encoders import GCN
from drugtail.models.stacked import stack

if TYPE_CHECKING:
    from drugtail.config import GraphEncoder


@dataclass(frozen=True)
class Output:
    """What a network says of a batch.

    Attributes
    ----------
    embedding : Tensor
        [S, molecules, D], not normalised.
    logits : Tensor
        [S, molecules, C].
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
    seeds
        Seeds of the initial weights, one for each of the S networks; the global random state is
        left as it was.
    """

    def __init__(self, encoder: GraphEncoder, classes: int, seeds: Sequence[int]) -> None:
        super().__init__()
        made = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                gcn = GCN(FEATURES, encoder.layers, encoder.width)
                made.append((gcn, mlp_classifier(encoder.width, encoder.head, classes)))
        self.encoder = stack([gcn for gcn, _ in made])
        self.classifier = stack([classifier for _, classifier in made])

    def forward(self, batch: Batch, type_features: Tensor, weight: Tensor | None = None) -> Output:
        """Embeddings and logits of a batch; see `GCN.forward`."""
        embedding = self.encoder(batch, type_features, weight)
        return Output(embedding, self.classifier(embedding))
