"""The molecules that epochs are drawn from, and what is learned from them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pool:
    """What epochs are drawn from: P molecules of each of S seeds.

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
