"""Packed graphs: a handful of arrays for all molecules, from which batches are cut by arithmetic.

On disk a data set is five arrays: ``atoms`` uint8 [A, 8] (codes, see `drugtail.features.atoms`),
``bonds`` uint16 [B, 2] (ends, numbered within the molecule), ``bond_types`` uint8 [B],
``atom_counts`` and ``bond_counts`` int32 [N]. In memory (`GraphStore`) every bond stands in both
directions, with a loop at each atom, sorted by target atom: the rows of the normalised adjacency
matrix. A `Batch` of molecules is one block-diagonal piece of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drugtail.features.atoms import feature_matrix, field_offsets
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

ARRAYS = ("atoms", "bonds", "bond_types", "atom_counts", "bond_counts")
BONDS = ("OTHER", "SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")


def load_arrays(folder: Path, names: tuple[str, ...] = ARRAYS) -> dict[str, NDArray[Any]]:
    """Memory-map the arrays of a featurized data set.

    Raises
    ------
    DrugtailError
        If one is absent, damaged, or of another length than ``features.json`` says.
    """
    description = read_json(folder / "features.json")
    shapes = description.get("arrays") if isinstance(description, dict) else None
    if not isinstance(shapes, dict) or not set(names) <= set(shapes):
        raise DrugtailError(
            f"{folder / 'features.json'}: does not describe {', '.join(names)}; name the folder of "
            "the features that the encoder reads, or featurize again"
        )
    arrays = {}
    for name in names:
        path = folder / f"{name}.npy"
        try:
            # An empty array cannot be mapped: a data set may have no bond at all.
            mode: Literal["r"] | None = "r" if np.prod(shapes[name]) else None
            arrays[name] = np.load(path, mmap_mode=mode, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DrugtailError(
                f"{path}: cannot be read ({error}); delete {folder} and featurize again"
            ) from None
        if list(arrays[name].shape) != shapes[name]:
            raise DrugtailError(
                f"{path}: has shape {list(arrays[name].shape)}, features.json says "
                f"{shapes[name]}; delete {folder} and featurize again"
            )
    return arrays


@dataclass(frozen=True)
class Batch:
    """Some molecules as one graph of several components.

    Attributes
    ----------
    atom_type : Tensor
        int64 [atoms]; row of `GraphStore.type_features` that describes the atom.
    molecule : Tensor
        int64 [atoms]; which molecule of the batch an atom belongs to, ascending.
    molecules : int
        Number of molecules.
    row_start : Tensor
        int64 [atoms + 1]; where the entries of an atom's row of the adjacency matrix begin.
    column : Tensor
        int64 [entries]; source atom of each entry. Loops are included.
    reverse : Tensor
        int64 [entries]; position of the entry in the opposite direction.
    norm : Tensor
        float32 [entries]; entries of D^-1/2 (A + I) D^-1/2.
    log_degree : Tensor
        float32 [entries]; log of the number of bonds of the entry's target atom; NaN at loops.
    """

    atom_type: Tensor
    molecule: Tensor
    molecules: int
    row_start: Tensor
    column: Tensor
    reverse: Tensor
    norm: Tensor
    log_degree: Tensor

    @property
    def row(self) -> Tensor:
        """Target atom of each entry, int64 [entries]."""
        atoms = torch.arange(len(self.atom_type), device=self.column.device)
        return torch.repeat_interleave(atoms, self.row_start.diff())

    @property
    def edge_index(self) -> Tensor:
        """Bonds in both directions without loops, int64 [2, edges], as in PyTorch Geometric."""
        row = self.row
        bonds = row != self.column
        return torch.stack([self.column[bonds], row[bonds]])


class GraphStore:
    """A packed data set on one device, from which batches are cut.

    Parameters
    ----------
    arrays
        The arrays named in `ARRAYS`.
    device
        Where to keep it; it is moved there once.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]], device: torch.device) -> None:
        atom_counts = arrays["atom_counts"].astype(np.int64)
        entries = _adjacency(
            atom_counts, arrays["bond_counts"].astype(np.int64), arrays["bonds"].astype(np.int64)
        )
        codes, atom_type = _distinct_atoms(np.asarray(arrays["atoms"]))
        features = feature_matrix()[codes.astype(np.int64) + field_offsets()].sum(axis=1)

        def place(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.device = device
        self.atom_counts = place(atom_counts)
        self.atom_start = place(np.cumsum(atom_counts) - atom_counts)
        self.atom_type = place(atom_type)
        self.type_codes = place(codes)
        self.type_features = place(features)
        self.row_count = place(entries.row_count)
        self.entry_counts = place(entries.per_molecule)
        self.entry_start = place(np.cumsum(entries.per_molecule) - entries.per_molecule)
        self.column = place(entries.column)
        self.reverse = place(entries.reverse)
        self.norm = place(entries.norm)
        self.log_degree = place(entries.log_degree)

    def __len__(self) -> int:
        """Number of molecules."""
        return len(self.atom_counts)

    def batch(self, molecules: Tensor) -> Batch:
        """Cut out molecules, in the order given; a molecule may stand there several times.

        Parameters
        ----------
        molecules
            int64 [B], on the store's device.
        """
        atom_counts = self.atom_counts[molecules]
        entry_counts = self.entry_counts[molecules]
        atoms, first_atom = _ranges(self.atom_start[molecules], atom_counts)
        entries, first_entry = _ranges(self.entry_start[molecules], entry_counts)
        zero = torch.zeros(1, dtype=torch.int64, device=self.device)
        return Batch(
            atom_type=self.atom_type[atoms],
            molecule=torch.repeat_interleave(
                torch.arange(len(molecules), device=self.device), atom_counts
            ),
            molecules=len(molecules),
            row_start=torch.cat([zero, self.row_count[atoms].cumsum(0)]),
            column=self.column[entries] + first_atom.repeat_interleave(entry_counts),
            reverse=self.reverse[entries] + first_entry.repeat_interleave(entry_counts),
            norm=self.norm[entries],
            log_degree=self.log_degree[entries],
        )


@dataclass(frozen=True)
class _Entries:
    """The normalised adjacency matrix of all molecules, sorted by target atom."""

    row_count: NDArray[np.int64]
    per_molecule: NDArray[np.int64]
    column: NDArray[np.int64]
    reverse: NDArray[np.int64]
    norm: NDArray[np.float32]
    log_degree: NDArray[np.float32]


def _adjacency(
    atom_counts: NDArray[np.int64], bond_counts: NDArray[np.int64], bonds: NDArray[np.int64]
) -> _Entries:
    total = int(atom_counts.sum())
    first_atom = np.cumsum(atom_counts) - atom_counts
    ends = bonds + np.repeat(first_atom, bond_counts)[:, None]
    loops = np.arange(total)
    row = np.concatenate([ends[:, 0], ends[:, 1], loops])
    column = np.concatenate([ends[:, 1], ends[:, 0], loops])
    bond = len(bonds)
    opposite = np.concatenate(
        [np.arange(bond, 2 * bond), np.arange(bond), np.arange(2 * bond, 2 * bond + total)]
    )
    order = np.lexsort((column, row))
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    row, column, reverse = row[order], column[order], position[opposite[order]]

    row_count = np.bincount(row, minlength=total)
    inverse_root = 1 / np.sqrt(row_count)
    with np.errstate(divide="ignore"):
        log_degree = np.log(row_count[row] - 1.0)
    log_degree[row == column] = np.nan
    per_molecule = atom_counts + 2 * bond_counts
    first_entry = np.cumsum(per_molecule) - per_molecule
    return _Entries(
        row_count=row_count,
        per_molecule=per_molecule,
        column=column - np.repeat(first_atom, per_molecule),
        reverse=reverse - np.repeat(first_entry, per_molecule),
        norm=(inverse_root[row] * inverse_root[column]).astype(np.float32),
        log_degree=log_degree.astype(np.float32),
    )


def _distinct_atoms(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The different atoms of a data set (a few hundred), and which of them each atom is.

    The first linear layer then works on a few hundred rows instead of a million.
    """
    keys = np.ascontiguousarray(codes).view(np.uint64)[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return codes[first], inverse.astype(np.int64)


def _ranges(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenate start[i] .. start[i] + count[i] - 1; also where each begins in the result."""
    first = count.cumsum(0) - count
    shift = (start - first).repeat_interleave(count)
    return torch.arange(len(shift), device=start.device) + shift, first
