"""Fingerprints as the bits that are set: few of thousands, so that a batch holds those alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drugtail.features.arrays import Arrays
from drugtail.features.batch import InputShape
from drugtail.features.ragged import cut

# Molecules whose bits are unpacked at a time.
PIECE = 20_000


def unpack_fingerprints(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return packed fingerprints, uint8 [N, bits / 8], as 0 and 1, float32 [N, bits]."""
    return np.unpackbits(bits, axis=1).astype(np.float32)


class Size(NamedTuple):
    """Room of a batch for bits that are set, of each seed."""

    entries: int


@dataclass(frozen=True)
class BitBatch:
    """Fingerprints of some molecules of each of S seeds.

    Attributes
    ----------
    bit : Tensor
        int64 [S, entries]; which bit is set, molecule after molecule.
    value : Tensor
        float32 [S, entries]; 1, or 0 where a view has dropped it and where a batch is filled up.
    molecule : Tensor
        int64 [S, entries]; which molecule it is of, ascending; what fills up has the number of
        molecules.
    molecule_start : Tensor
        int64 [S, molecules + 1]; where the bits of each molecule, and those that fill up, begin.
    features : int
        Number of bits F of a fingerprint.
    static_shapes : bool
        Whether the size was given and not taken from the molecules.
    """

    bit: Tensor
    value: Tensor
    molecule: Tensor
    molecule_start: Tensor
    features: int
    static_shapes: bool = False

    @property
    def molecules(self) -> int:
        """Number of molecules of a seed."""
        return self.molecule_start.shape[-1] - 1

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all tensors that have a first dimension of seeds."""
        return self.bit, self.value, self.molecule, self.molecule_start

    def with_tensors(self, tensors: Iterable[Tensor]) -> BitBatch:
        """Return a batch with other tensors in the place of those of `tensors()`."""
        bit, value, molecule, start = tensors
        return BitBatch(bit, value, molecule, start, self.features, self.static_shapes)

    def viewed(self, values: Tensor) -> BitBatch:
        """Return a batch with other values of the bits, [S, entries]."""
        return replace(self, value=values)

    def of_seed(self, seed: int) -> Tensor:
        """Return the fingerprints of one seed as numbers, [B, F]."""
        return self.dense()[seed]

    def dense(self) -> Tensor:
        """Return the fingerprints as numbers, [S, B, F]."""
        seeds, whole = len(self.bit), (self.molecules + 1) * self.features
        place = self.molecule * self.features + self.bit
        # No two entries share a place, but for those that fill up, whose value is 0.
        numbers = self.value.new_zeros(seeds, whole).scatter_add(1, place, self.value)
        return numbers.view(seeds, -1, self.features)[:, :-1]


class BitStore:
    """The fingerprints of a data set on one device, from which batches are cut.

    Parameters
    ----------
    arrays
        ``bits``: packed, uint8 [N, F / 8].
    device
        Where to keep them.
    """

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        packed = arrays["bits"]
        counts, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for start in range(0, len(packed), PIECE):
            row, bit = np.unpackbits(packed[start : start + PIECE], axis=1).nonzero()
            counts.append(np.bincount(row, minlength=len(packed[start : start + PIECE])))
            found.append(bit)
        count = np.concatenate(counts)
        self.device = device
        self.features = 8 * packed.shape[1]
        self.count = torch.from_numpy(count).to(device)
        self.start = torch.from_numpy(np.cumsum(count) - count).to(device)
        # One beyond the last stands for what fills up, where no molecule has a bit.
        bits = np.append(np.concatenate(found), 0).astype(np.int32)
        self.bit = torch.from_numpy(bits).to(device)

    def __len__(self) -> int:
        """Number of molecules."""
        return len(self.count)

    @property
    def shape(self) -> InputShape:
        """Input of an encoder."""
        return InputShape("bits", self.features)

    def size_of(self, molecules: Tensor) -> Size:
        """Size that every row of `molecules`, int64 [..., B], fits into; waits for the device."""
        return Size(int(self.count[molecules].sum(-1).max()))

    def has_room(self, held: tuple[int, ...], needed: tuple[int, ...]) -> bool:
        """Return whether batches of size `needed` fit into those of size `held`."""
        return held[0] >= needed[0]

    def batch(self, molecules: Tensor, size: tuple[int, ...] | None = None) -> BitBatch:
        """Cut out molecules, int64 [S, B] on the store's device, in the order given.

        Parameters
        ----------
        molecules
            A molecule may stand there several times.
        size
            Number of entries of each seed; left out, it is that of the seed with the most, for
            which the device has to be waited for.
        """
        static_shapes = size is not None
        size = size if size is not None else self.size_of(molecules)
        entry, start, molecule = cut(self.start, self.count, molecules, size[0])
        real = molecule < molecules.shape[1]
        return BitBatch(
            bit=self.bit[entry].long(),
            value=real.float(),
            molecule=molecule,
            molecule_start=start,
            features=self.features,
            static_shapes=static_shapes,
        )


def sum_of_rows(batch: BitBatch, weight: Tensor) -> Tensor:
    """Sum, over the bits of a molecule, of value times row of a table: ``dense() @ weight``.

    Parameters
    ----------
    batch
        Of S seeds.
    weight
        A row for each bit, [S, F, D].

    Returns
    -------
    Tensor
        [S, B, D].
    """
    if batch.static_shapes or weight.device.type != "cpu":
        # A product has one shape, and adds up in one order on every device.
        return torch.bmm(batch.dense().to(weight.dtype), weight)
    seeds, entries = batch.bit.shape
    seed = torch.arange(seeds, device=weight.device)[:, None]
    start = (batch.molecule_start + entries * seed).flatten()
    result: Tensor = nn.functional.embedding_bag(
        (batch.bit + batch.features * seed).flatten(), weight.flatten(0, 1), start, mode="sum",
        per_sample_weights=batch.value.to(weight.dtype).flatten(),
    )  # fmt: skip
    # The last row of each seed is of what fills it up.
    return result.view(seeds, batch.molecules + 1, -1)[:, :-1]
