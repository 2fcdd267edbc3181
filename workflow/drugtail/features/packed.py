"""Packed graphs: a handful of arrays for all molecules, from which batches are cut by arithmetic.

On disk a data set is five arrays: ``atoms`` uint8 [A, 8] (codes, see `drugtail.features.atoms`),
``bonds`` uint16 [B, 2] (ends, numbered within the molecule), ``bond_types`` uint8 [B],
``atom_counts`` and ``bond_counts`` int32 [N]. In memory (`GraphStore`) every bond stands in both
directions, with a loop at each atom, sorted by target atom: the rows of the normalised adjacency
matrix. A `GraphBatch` of molecules is one block-diagonal piece of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drugtail.features.arrays import ARRAYS, Arrays
from drugtail.features.atoms import BONDS, FEATURES, feature_matrix, field_offsets
from drugtail.features.batch import InputShape
from drugtail.features.ragged import cut, numbers

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Molecules whose adjacency matrix is put together at a time.
PIECE = 50_000
# The code of an atom's loop.
LOOP = len(BONDS)


class Size(NamedTuple):
    """Room for atoms and for entries of the adjacency matrix of a graph."""

    atoms: int
    entries: int


@dataclass(frozen=True)
class GraphBatch:
    """Some molecules of each of S seeds: S graphs of several components and of one size.

    A graph with fewer atoms than the largest is filled up with atoms that belong to no molecule and
    are bound to nothing but themselves. A batch of one seed may come without the first dimension.

    Attributes
    ----------
    atom_type : Tensor
        int64 [S, atoms]; row of `GraphStore.type_features` that describes the atom.
    molecule : Tensor
        int64 [S, atoms]; which molecule an atom belongs to, ascending; filling atoms have the
        number of molecules.
    molecule_start : Tensor
        int64 [S, molecules + 1]; where the atoms of each molecule, and those that fill up, begin.
    row_start : Tensor
        int64 [S, atoms + 1]; where the entries of an atom's row of the adjacency matrix begin.
    row, column : Tensor
        int64 [S, entries]; target and source atom of each entry. Loops are included.
    reverse : Tensor
        int64 [S, entries]; position of the entry in the opposite direction.
    norm : Tensor
        float32 [S, entries]; entries of D^-1/2 (A + I) D^-1/2; 0 at filling atoms.
    log_degree : Tensor
        float32 [S, entries]; log of the number of bonds of the entry's target atom; NaN at loops.
    bond_type : Tensor
        uint8 [S, entries]; code of the entry's bond, a place in `BONDS`; `LOOP` at loops.
    type_features : Tensor
        Float features of the different atoms of the data set, [kinds, features]; the same for all
        seeds.
    static_shapes : bool
        Whether the size was given and not taken from the molecules.
    """

    atom_type: Tensor
    molecule: Tensor
    molecule_start: Tensor
    row_start: Tensor
    row: Tensor
    column: Tensor
    reverse: Tensor
    norm: Tensor
    log_degree: Tensor
    bond_type: Tensor
    type_features: Tensor
    static_shapes: bool = False

    @property
    def molecules(self) -> int:
        """Number of molecules of a seed."""
        return self.molecule_start.shape[-1] - 1

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all tensors that have a first dimension of seeds, in the order of attributes."""
        return tuple(getattr(self, name) for name in PER_SEED)

    def with_tensors(self, tensors: Iterable[Tensor]) -> GraphBatch:
        """Return a batch with other tensors in the place of those of `tensors()`."""
        changes: dict[str, Any] = dict(zip(PER_SEED, tensors, strict=True))
        return replace(self, **changes)

    def viewed(self, values: Tensor) -> GraphBatch:
        """Return a batch with other entries of the adjacency matrix; no gradient flows to them."""
        return replace(self, norm=values)

    def of_seed(self, seed: int) -> Data:
        """Return the graphs of one seed, as PyTorch Geometric has them.

        Returns
        -------
        torch_geometric.data.Data
            ``x`` (features of atoms, [atoms, 74]), ``edge_index`` (bonds in both directions, int64
            [2, edges]), ``edge_attr`` (their kinds, one-hot in the order of `BONDS`, [edges, 5]),
            ``batch`` (which molecule an atom belongs to, int64 [atoms]) and ``num_graphs`` (B).
            Bonds that a view has dropped are left out, and so is what fills a graph up.
        """
        # Here, since it takes seconds to import.
        from torch_geometric.data import Data

        atoms = int(self.molecule_start[seed, -1])
        real = slice(0, int(self.row_start[seed, atoms]))
        row, column = self.row[seed, real], self.column[seed, real]
        edge = (row != column) & (self.norm[seed, real] != 0)
        bond = self.bond_type[seed, real][edge].long()
        x = self.type_features[self.atom_type[seed, :atoms]]
        return Data(
            x=x,
            edge_index=torch.stack([column[edge], row[edge]]),
            edge_attr=nn.functional.one_hot(bond, len(BONDS)).to(x.dtype),
            batch=self.molecule[seed, :atoms],
            num_graphs=self.molecules,
        )

    def joined(self) -> GraphBatch:
        """All seeds as one graph, without the first dimension.

        What fills a seed up counts as one molecule more, after those of the seed.
        """
        seeds, atoms = self.atom_type.shape
        entries = self.row.shape[1]
        seed = torch.arange(seeds, device=self.row.device)[:, None]

        def begins(start: Tensor, size: int) -> Tensor:
            return torch.cat([(start + size * seed).flatten(), start.new_full((1,), seeds * size)])

        return GraphBatch(
            atom_type=self.atom_type.flatten(),
            molecule=(self.molecule + (self.molecules + 1) * seed).flatten(),
            molecule_start=begins(self.molecule_start, atoms),
            row_start=begins(self.row_start[:, :-1], entries),
            row=(self.row + atoms * seed).flatten(),
            column=(self.column + atoms * seed).flatten(),
            reverse=(self.reverse + entries * seed).flatten(),
            norm=self.norm.flatten(),
            log_degree=self.log_degree.flatten(),
            bond_type=self.bond_type.flatten(),
            type_features=self.type_features,
            static_shapes=self.static_shapes,
        )


PER_SEED = tuple(
    field.name
    for field in fields(GraphBatch)
    if field.name not in ("type_features", "static_shapes")
)


class GraphStore:
    """A packed data set on one device, from which batches are cut.

    Parameters
    ----------
    arrays
        The arrays of the form ``graph``, see `drugtail.features.arrays.ARRAYS`.
    device
        Where to keep it; it is moved there once.
    """

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        atom_counts = arrays["atom_counts"].astype(np.int64)
        entries = _all_entries(arrays)
        codes, atom_type = _distinct_atoms(np.asarray(arrays["atoms"]))
        features = feature_matrix()[codes.astype(np.int64) + field_offsets()].sum(axis=1)

        def place(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        self.device, self.arrays = device, arrays
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
        self.bond_type = place(entries.bond_type)

    def __len__(self) -> int:
        """Number of molecules."""
        return len(self.atom_counts)

    @property
    def shape(self) -> InputShape:
        """Input of an encoder: features of an atom, and of a bond."""
        return InputShape("graph", FEATURES, len(BONDS))

    def extended(self, added: Arrays) -> GraphStore:
        """A store with further molecules after these, in the same precision."""
        arrays = {
            name: np.concatenate([self.arrays[name], added[name]]) for name in ARRAYS["graph"]
        }
        store = GraphStore(arrays, self.device)
        store.type_features = store.type_features.to(self.type_features.dtype)
        store.norm = store.norm.to(self.norm.dtype)
        return store

    def size_of(self, molecules: Tensor) -> Size:
        """Size of graph that every row of `molecules`, int64 [..., B], fits into.

        Waits for the device.
        """
        atoms = self.atom_counts[molecules].sum(-1)
        entries = self.entry_counts[molecules].sum(-1)
        # Where a graph has to be filled up with entries, they need an atom.
        spare = int(atoms.numel() > 1)
        return Size(int(atoms.max()) + spare, int(entries.max()))

    def has_room(self, held: tuple[int, ...], needed: tuple[int, ...]) -> bool:
        """Return whether graphs of size `needed` fit into those of size `held`."""
        # An atom is always left for the entries that fill a graph up.
        return held[0] > needed[0] and held[1] >= needed[1]

    def batch(self, molecules: Tensor, size: tuple[int, ...] | None = None) -> GraphBatch:
        """Cut out molecules, in the order given; a molecule may stand there several times.

        Parameters
        ----------
        molecules
            int64 [S, B], or [B] for a batch of one seed without the first dimension, on the
            store's device.
        size
            Size of each seed's graph. Left out, it is that of the largest, for which the device
            has to be waited for.
        """
        if molecules.dim() == 1:
            whole = self.batch(molecules[None], size)
            return whole.with_tensors(value[0] for value in whole.tensors())
        static_shapes = size is not None
        size = Size(*size) if size is not None else self.size_of(molecules)
        atom, atom_start, atom_of = cut(self.atom_start, self.atom_counts, molecules, size.atoms)
        entry, entry_start, entry_of = cut(
            self.entry_start, self.entry_counts, molecules, size.entries
        )
        count = molecules.shape[1]
        row_count = self.row_count[atom] * (atom_of < count)
        row_start = nn.functional.pad(row_count.cumsum(1), (1, 0))
        row_start = _share_out(row_start, atom_start[:, -1:], entry_start[:, -1:], size)
        row = numbers(row_start.diff(dim=1), size.entries)
        real = entry_of < count
        return GraphBatch(
            atom_type=self.atom_type[atom].long(),
            molecule=atom_of,
            molecule_start=atom_start,
            row_start=row_start,
            row=row,
            column=torch.where(real, self.column[entry] + atom_start.gather(1, entry_of), row),
            reverse=torch.where(
                real,
                self.reverse[entry] + entry_start.gather(1, entry_of),
                torch.arange(size.entries, device=self.device),
            ),
            norm=self.norm[entry] * real,
            log_degree=self.log_degree[entry].where(real, torch.nan),
            bond_type=self.bond_type[entry].where(real, LOOP),
            type_features=self.type_features,
            static_shapes=static_shapes,
        )


@dataclass(frozen=True)
class _Entries:
    """The normalised adjacency matrix of molecules, sorted by target atom."""

    row_count: NDArray[np.int32]
    per_molecule: NDArray[np.int64]
    column: NDArray[np.int32]
    reverse: NDArray[np.int32]
    norm: NDArray[np.float32]
    log_degree: NDArray[np.float32]
    bond_type: NDArray[np.uint8]


def _all_entries(arrays: Arrays) -> _Entries:
    """Entries of all molecules; made in pieces, since making them takes far more than they do."""
    atom_counts, bond_counts = (
        arrays[name].astype(np.int64) for name in ("atom_counts", "bond_counts")
    )
    pieces, first_bond = [], 0
    for start in range(0, len(atom_counts), PIECE):
        part = slice(start, start + PIECE)
        bonds = slice(first_bond, first_bond + int(bond_counts[part].sum()))
        pieces.append(
            _adjacency(
                atom_counts[part], bond_counts[part], arrays["bonds"][bonds].astype(np.int64),
                np.asarray(arrays["bond_types"][bonds]),
            )
        )  # fmt: skip
        first_bond = bonds.stop
    return _Entries(
        *(np.concatenate([getattr(p, f.name) for p in pieces]) for f in fields(_Entries))
    )


def _adjacency(
    atom_counts: NDArray[np.int64],
    bond_counts: NDArray[np.int64],
    bonds: NDArray[np.int64],
    bond_types: NDArray[np.uint8],
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
        row_count=row_count.astype(np.int32),
        per_molecule=per_molecule,
        column=(column - np.repeat(first_atom, per_molecule)).astype(np.int32),
        reverse=(reverse - np.repeat(first_entry, per_molecule)).astype(np.int32),
        norm=(inverse_root[row] * inverse_root[column]).astype(np.float32),
        log_degree=log_degree.astype(np.float32),
        bond_type=np.concatenate([bond_types, bond_types, np.full(total, LOOP, np.uint8)])[order],
    )


def _distinct_atoms(codes: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The different atoms of a data set (a few hundred), and which of them each atom is.

    The first linear layer then works on a few hundred rows instead of a million.
    """
    keys = np.ascontiguousarray(codes).view(np.uint64)[:, 0]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return codes[first], inverse.astype(np.int32)


def _share_out(row_start: Tensor, atoms: Tensor, entries: Tensor, size: Size) -> Tensor:
    """Give the entries that fill a graph up to the atoms that do, as evenly as can be.

    Parameters
    ----------
    row_start
        Correct up to the last real atom, int64 [S, atoms + 1].
    atoms, entries
        Real ones of each seed, int64 [S, 1].
    size
        All of them.
    """
    place = torch.arange(size.atoms + 1, device=row_start.device) - atoms
    spare = (size.atoms - atoms).clamp(min=1)
    return torch.where(place > 0, entries + (size.entries - entries) * place // spare, row_start)
