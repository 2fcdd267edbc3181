"""Parameters that some methods train beside the network and prediction does not need."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drugtail.features.batch import Batch
from drugtail.models.network import Network

if TYPE_CHECKING:
    from drugtail.config.recipe import Recipe


class Companion(nn.Module):
    """Class centres, and a momentum encoder with a queue of embeddings, where a recipe needs them.

    Parameters
    ----------
    recipe
        The method; its contrastive term says what it needs.
    network
        Beside which it stands.
    classes
        Number of classes C.
    seeds
        Seeds of the initial centres, one for each of the S networks.
    """

    centres: nn.Parameter | None
    queue: Tensor | None
    queue_labels: Tensor | None

    def __init__(
        self, recipe: Recipe, network: Network, classes: int, seeds: Sequence[int]
    ) -> None:
        super().__init__()
        # What a term needs, its settings have.
        settings: Any = recipe.contrastive
        width = network.width
        needs: tuple[str, ...] = () if settings is None else settings.needs
        self.register_parameter("centres", None)
        if "centres" in needs:
            drawn = [
                torch.randn(classes, width, generator=torch.Generator().manual_seed(seed))
                for seed in seeds
            ]
            self.centres = nn.Parameter(torch.stack(drawn))
        self.momentum_encoder: nn.Module | None = None
        self.register_buffer("queue", None)
        self.register_buffer("queue_labels", None)
        if "queue" in needs:
            self.momentum_encoder = copy.deepcopy(network.encoder).requires_grad_(False)
            self.momentum = settings.momentum
            self.queue = torch.zeros(len(seeds), settings.queue, width)
            self.queue_labels = torch.full((len(seeds), settings.queue), -1)

    @torch.no_grad()
    def keys(self, batch: Batch, keys: Tensor) -> Tensor | None:
        """Embeddings by the momentum encoder, L2-normalised, [S, n, D]; None if there is none."""
        if self.momentum_encoder is None:
            return None
        return F.normalize(self.momentum_encoder(batch, keys), dim=2)

    @torch.no_grad()
    def enqueue(self, keys: Tensor, labels: Tensor) -> None:
        """Put keys, [S, n, D], and their classes, int64 [S, n], at the end of the queue."""
        assert self.queue is not None
        assert self.queue_labels is not None
        length = self.queue.shape[1]
        self.queue.copy_(torch.cat([self.queue, keys], dim=1)[:, -length:])
        self.queue_labels.copy_(torch.cat([self.queue_labels, labels], dim=1)[:, -length:])

    @torch.no_grad()
    def momentum_update(self, network: Network) -> None:
        """Move the momentum encoder a little towards the network's, after a step of training."""
        if self.momentum_encoder is not None:
            pairs = zip(
                self.momentum_encoder.parameters(), network.encoder.parameters(), strict=True
            )
            for average, trained in pairs:
                average.lerp_(trained, 1 - self.momentum)
