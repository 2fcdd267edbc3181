"""What some methods train beside the network and prediction does not need."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from drugtail.features.packed import Batch
from drugtail.models.network import Network

if TYPE_CHECKING:
    from drugtail.methods.recipe import Recipe


class Companion(nn.Module):
    """Class centres, and a slower encoder with a queue of embeddings, where a recipe needs them.

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
        width = network.encoder.width
        needs: tuple[str, ...] = () if settings is None else settings.needs
        self.register_parameter("centres", None)
        if "centres" in needs:
            drawn = [
                torch.randn(classes, width, generator=torch.Generator().manual_seed(seed))
                for seed in seeds
            ]
            self.centres = nn.Parameter(torch.stack(drawn))
        self.slow: nn.Module | None = None
        self.register_buffer("queue", None)
        self.register_buffer("queue_labels", None)
        if "queue" in needs:
            self.slow = copy.deepcopy(network.encoder).requires_grad_(False)
            self.momentum = settings.momentum
            self.queue = torch.zeros(len(seeds), settings.queue, width)
            self.queue_labels = torch.full((len(seeds), settings.queue), -1)

    @torch.no_grad()
    def keys(self, batch: Batch, type_features: Tensor, weight: Tensor) -> Tensor | None:
        """Embeddings by the slower encoder, L2-normalised, [S, n, D]; None if there is none."""
        if self.slow is None:
            return None
        return F.normalize(self.slow(batch, type_features, weight), dim=2)

    @torch.no_grad()
    def remember(self, keys: Tensor, labels: Tensor) -> None:
        """Put keys, [S, n, D], and their classes, int64 [S, n], at the end of the queue."""
        assert self.queue is not None
        assert self.queue_labels is not None
        length = self.queue.shape[1]
        self.queue.copy_(torch.cat([self.queue, keys], dim=1)[:, -length:])
        self.queue_labels.copy_(torch.cat([self.queue_labels, labels], dim=1)[:, -length:])

    @torch.no_grad()
    def follow(self, network: Network) -> None:
        """Let the slower encoder come a little nearer to the network's, after a step of it."""
        if self.slow is not None:
            pairs = zip(self.slow.parameters(), network.encoder.parameters(), strict=True)
            for slow, fast in pairs:
                slow.lerp_(fast, 1 - self.momentum)
