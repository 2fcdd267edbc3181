"""The molecules that epochs are drawn from, and what is learned from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pool:
    """Molecules that epochs are sampled from: P per seed, S seeds.

    Attributes
    ----------
    molecules : Tensor
        Positions in the store, int64 [S, P].
    labels : Tensor
        Their classes, int64 [S, P].
    partner_labels, share : Tensor or None
        Of molecules of two classes: the other one, int64 [S, P], and how much is of `labels`,
        [S, P].
    teacher, taught : Tensor or None
        Logits of another network, [S, P, C], and which molecules are learned from them, bool
        [S, P].
    features : Tensor or None
        What the last layer gets, if all before it is frozen, [S, P, H].
    """

    molecules: Tensor
    labels: Tensor
    partner_labels: Tensor | None = None
    share: Tensor | None = None
    teacher: Tensor | None = None
    taught: Tensor | None = None
    features: Tensor | None = None

    def take(self, drawn: Tensor) -> Pool:
        """The drawn ones alone, int64 [S, B]."""
        seed = torch.arange(len(drawn), device=drawn.device)[:, None]
        return Pool(**{name: tensor[seed, drawn] for name, tensor in self.state().items()})

    def state(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}

    def to(self, device: torch.device) -> Pool:
        """The same on another device."""
        return Pool(**{name: tensor.to(device) for name, tensor in self.state().items()})


def batches(drawn: Tensor, size: int) -> list[Tensor]:
    """Cut an epoch into batches of `size` or a little less, along the last dimension.

    As many as are needed, none more than one molecule larger than another, and none of a single
    molecule where there are two. A rest of a few molecules would be a step of its own with as much
    weight as any other, right before the network is judged: statistics of batch normalisation that
    stand for a hundred molecules would be moved a tenth of the way to those of two.
    """
    molecules = drawn.shape[-1]
    number = min(math.ceil(molecules / size), max(molecules // 2, 1))
    return list(drawn.tensor_split(number, dim=-1))
