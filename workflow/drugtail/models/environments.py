"""Atoms with equal surroundings, so that a graph layer computes each of them once.

After k graph convolutions the features of an atom depend on nothing but its surroundings up to k
bonds away. Most atoms of a batch share them: of the atoms of 128 drugs about 1 in 100 differs in
kind, 1 in 5 in its nearest neighbours, half up to two bonds, three quarters up to three (with two
views of randomly dropped bonds: a quarter, two thirds, four fifths). A layer that works on distinct
surroundings does the same mathematics on as many fewer rows. The surroundings are found by colour
refinement (Weisfeiler and Leman, 1968; for the compression of graph networks see Bollen,
Steegmans, Van den Bussche, Vansummeren, arXiv:2304.11793).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from drugtail.features.packed import Batch

# PyTorch says in every process that compressed sparse rows are in beta.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")

# Odd constants of the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
STEP, FIRST, SECOND = (
    np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
)  # fmt: skip


@dataclass(frozen=True)
class SparseMatrix:
    """A sparse matrix and its transpose, both as compressed rows.

    A column may stand in a row several times, and columns are in no order.

    Attributes
    ----------
    rows : Tensor
        Sparse CSR, [n, m].
    columns : Tensor
        Its transpose, sparse CSR, [m, n].
    """

    rows: Tensor
    columns: Tensor


@dataclass(frozen=True)
class Level:
    """How one graph layer gets from the distinct surroundings before it to those after it.

    Attributes
    ----------
    matrix : SparseMatrix
        [after, 2 · before]: column 2k holds the adjacency entries towards surroundings k, column
        2k + 1 is 1 where k are the surroundings of the atom itself.
    count : Tensor or None
        How many atoms of the batch have each of the surroundings, float32 [after]; None where
        every atom has a row of its own.
    repeat : Tensor or None
        Which of the features that the layer is given belong to each of the surroundings before
        it, int64 [before]; None where they are the same.
    """

    matrix: SparseMatrix
    count: Tensor | None
    repeat: Tensor | None = None


@dataclass(frozen=True)
class Environments:
    """The levels of a batch, and its molecules as sums over the last of them.

    Attributes
    ----------
    levels : list of Level
        One per graph layer.
    pooling : SparseMatrix
        [molecules, after the last level]: how often each molecule has the surroundings.
    """

    levels: list[Level]
    pooling: SparseMatrix


def distinct_environments(batch: Batch, weight: Tensor, kinds: int, layers: int) -> Environments:
    """Find the distinct surroundings of the atoms of a batch, level by level.

    Surroundings are compared by a 64-bit hash of the atom's own before the layer, and of those of
    its neighbours with the adjacency entries that lead to them, in any order. Two of n different
    ones share a hash with a probability of about n² / 2^65.

    Parameters
    ----------
    batch
        The molecules, on the CPU.
    weight
        Entries of the adjacency matrix, float32 or float64 [entries], as in `Batch`. Entries of 0
        are left out. No gradient flows to them.
    kinds
        Number of different atoms that `Batch.atom_type` chooses from.
    layers
        Number of graph layers.
    """
    atoms = len(batch.atom_type)
    # A copy, since dropped entries are taken out of it.
    adjacency = scipy.sparse.csr_array(
        (weight.detach().numpy(), batch.column.numpy(), batch.row_start.numpy()),
        shape=(atoms, atoms), copy=True,
    )  # fmt: skip
    adjacency.eliminate_zeros()
    bits = adjacency.data.astype(np.float64).view(np.uint64)
    kind = batch.atom_type.numpy()
    levels = []
    for _ in range(layers):
        name = _mix(np.arange(1, kinds + 1, dtype=np.uint64) * STEP)
        # Sums modulo 2^64: the order of the neighbours does not matter, their number does.
        sums = np.zeros(len(bits) + 1, np.uint64)
        np.cumsum(_mix(name[kind[adjacency.indices]] ^ bits), out=sums[1:])
        after, first = _numbered(np.diff(sums[adjacency.indptr]) + name[kind])
        one_each = adjacency[first]
        # An atom's own surroundings stand before its neighbours'.
        own = one_each.indptr[:-1]
        matrix = _matrix(
            one_each.indptr + np.arange(len(first) + 1),
            np.insert(2 * kind[one_each.indices], own, 2 * kind[first] + 1),
            np.insert(one_each.data, own, 1),
            2 * kinds,
        )
        kind, kinds = after, len(first)
        count = np.bincount(kind, minlength=kinds).astype(np.float32)
        levels.append(Level(matrix, torch.from_numpy(count)))
    ends = np.searchsorted(batch.molecule.numpy(), np.arange(batch.molecules + 1))
    pooling = _matrix(ends, kind, np.ones(atoms, adjacency.dtype), kinds)
    return Environments(levels, pooling)


def every_atom(batch: Batch, weight: Tensor, kinds: int, layers: int) -> Environments:
    """Give every atom a row of its own: the plain form, on any device and without waiting for it.

    Parameters and result as in `distinct_environments`.
    """
    atoms = torch.arange(len(batch.atom_type), device=batch.column.device)
    start = batch.row_start + torch.arange(len(batch.row_start), device=atoms.device)
    # An atom's own column stands after its neighbours'.
    own = start[1:] - 1
    entry = torch.arange(len(batch.column), device=atoms.device) + batch.row

    def fill(entries: Tensor, own_value: Tensor) -> Tensor:
        row = entries.new_empty(len(entries) + len(atoms))
        return row.index_copy_(0, entry, entries).index_copy_(0, own, own_value)

    one = weight.new_ones(len(atoms))
    # The pattern is symmetric: the transpose takes its values from the opposite entries.
    matrix = SparseMatrix(
        _compressed_rows(
            start, fill(2 * batch.column, 2 * atoms + 1), fill(weight, one), 2 * len(atoms)
        ),
        _compressed_rows(
            torch.cat([torch.stack([start[:-1], own], dim=1).flatten(), start[-1:]]),
            fill(batch.column, atoms), fill(weight[batch.reverse], one), len(atoms),
        ),
    )  # fmt: skip
    levels = [Level(matrix, None, batch.atom_type if k == 0 else None) for k in range(layers)]
    ends = torch.searchsorted(
        batch.molecule, torch.arange(batch.molecules + 1, device=atoms.device)
    )
    pooling = SparseMatrix(
        _compressed_rows(ends, atoms, one, len(atoms)),
        _compressed_rows(
            torch.cat([atoms, atoms.new_full((1,), len(atoms))]),
            batch.molecule,
            one,
            batch.molecules,
        ),
    )
    return Environments(levels, pooling)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread every bit over all 64."""
    x = (x ^ (x >> np.uint64(30))) * FIRST
    x = (x ^ (x >> np.uint64(27))) * SECOND
    return x ^ (x >> np.uint64(31))


def _numbered(names: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the different names in the order in which they appear; and where each does first."""
    number, _ = pd.factorize(names)
    largest = np.maximum.accumulate(number)
    return number, np.flatnonzero(np.diff(largest, prepend=-1))


def _matrix(
    start: NDArray[np.int64],
    column: NDArray[np.int64],
    values: NDArray[np.floating[Any]],
    width: int,
) -> SparseMatrix:
    rows = scipy.sparse.csr_array((values, column, start), shape=(len(start) - 1, width))
    columns = rows.tocsc()
    return SparseMatrix(_from_scipy(rows, width), _from_scipy(columns, len(start) - 1))


def _from_scipy(matrix: Any, width: int) -> Tensor:
    """Compressed rows, or compressed columns as the rows of the transpose."""
    start, column, values = map(torch.from_numpy, (matrix.indptr, matrix.indices, matrix.data))
    return _compressed_rows(start, column, values, width)


def _compressed_rows(start: Tensor, column: Tensor, values: Tensor, width: int) -> Tensor:
    return torch.sparse_csr_tensor(
        start, column, values, (len(start) - 1, width), check_invariants=False
    )
