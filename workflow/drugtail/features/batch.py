"""Stores of features of any form, and batches cut from them, as training sees them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from drugtail.config.encoder import Form

Self = TypeVar("Self")


class InputShape(NamedTuple):
    """Input of an encoder.

    Attributes
    ----------
    form : str
        Form of the features.
    features : int
        Numbers of an atom of a graph; else of a molecule.
    edge_features : int
        Numbers of a bond of a graph; else 0.
    vector : int
        Numbers of the vector beside a graph; else 0.
    """

    form: Form
    features: int
    edge_features: int = 0
    vector: int = 0


class Batch(Protocol):
    """Some molecules of each of S seeds, in one of the forms of features."""

    @property
    def molecules(self) -> int:
        """Number of molecules B of a seed."""

    @property
    def static_shapes(self) -> bool:
        """Return whether the size was given and not taken from the molecules."""

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all tensors that have a first dimension of seeds."""

    def with_tensors(self: Self, tensors: Iterable[Tensor]) -> Self:
        """Return a batch with other tensors in the place of those of `tensors()`."""

    def viewed(self: Self, values: Any) -> Self:
        """Return a batch that is seen as an augmented view: with other `values` of its parts."""

    def of_seed(self, seed: int) -> Any:
        """Return the molecules of one seed as a module of one seed gets them."""


class Store(Protocol):
    """All molecules of a data set on one device."""

    device: torch.device

    def __len__(self) -> int:
        """Return the number of molecules."""

    @property
    def shape(self) -> InputShape:
        """Input of an encoder."""

    def batch(self, molecules: Tensor, size: tuple[int, ...] | None = None) -> Batch:
        """Cut out molecules, int64 [S, B], in the order given."""

    def size_of(self, molecules: Tensor) -> tuple[int, ...]:
        """Size that every row of `molecules`, int64 [..., B], fits into; waits for the device."""

    def has_room(self, held: tuple[int, ...], needed: tuple[int, ...]) -> bool:
        """Return whether batches of size `needed` fit into those of size `held`."""
