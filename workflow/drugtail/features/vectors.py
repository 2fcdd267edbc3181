"""Molecules as vectors of numbers: descriptors, counts, embeddings from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from drugtail.features.arrays import Arrays
from drugtail.features.batch import InputShape


@dataclass(frozen=True)
class VectorBatch:
    """Vectors of some molecules of each of S seeds.

    Attributes
    ----------
    values : Tensor
        float32 [S, B, F].
    static_shapes : bool
        Whether a size was given; it changes nothing.
    """

    values: Tensor
    static_shapes: bool = False

    @property
    def molecules(self) -> int:
        """Number of molecules of a seed."""
        return self.values.shape[-2]

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all tensors that have a first dimension of seeds."""
        return (self.values,)

    def with_tensors(self, tensors: Iterable[Tensor]) -> VectorBatch:
        """Return a batch with other tensors in the place of those of `tensors()`."""
        (values,) = tensors
        return replace(self, values=values)

    def viewed(self, values: Tensor) -> VectorBatch:
        """Return a batch with other values, [S, B, F]."""
        return replace(self, values=values)

    def of_seed(self, seed: int) -> Tensor:
        """Return the vectors of one seed, [B, F]."""
        return self.values[seed]


class VectorStore:
    """The vectors of a data set on one device, from which batches are cut.

    Parameters
    ----------
    arrays
        ``values``: float32 or uint8 [N, F]; counts and bits are kept in a byte each.
    device
        Where to keep them.
    """

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        self.device = device
        self.values = torch.from_numpy(np.array(arrays["values"])).to(device)

    def __len__(self) -> int:
        """Number of molecules."""
        return len(self.values)

    @property
    def shape(self) -> InputShape:
        """Input of an encoder."""
        return InputShape("vector", self.values.shape[1])

    def size_of(self, molecules: Tensor) -> tuple[int, ...]:
        """Return nothing: all vectors have one length."""
        return ()

    def has_room(self, held: tuple[int, ...], needed: tuple[int, ...]) -> bool:
        """Return whether batches of size `needed` fit into those of size `held`: they do."""
        return True

    def batch(self, molecules: Tensor, size: tuple[int, ...] | None = None) -> VectorBatch:
        """Cut out molecules, int64 [S, B] on the store's device, in the order given."""
        return VectorBatch(self.values[molecules].float(), size is not None)
