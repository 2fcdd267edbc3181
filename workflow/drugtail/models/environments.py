"""Atoms with equal surroundings, so that a graph layer computes each of them once.

After k graph convolutions the features of an atom depend on nothing but its surroundings up to k
bonds away. Most atoms of a batch share them: of the atoms of 128 drugs about a hundredth differ
in kind, a fifth in their nearest neighbours, half up to two bonds. A layer that works on distinct
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
    """

    matrix: SparseMatrix
    count: Tensor | None


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
        Entries of the adjacency matrix, [entries], as in `Batch`. Entries of 0 are left out.
    kinds
        Number of different atoms that `Batch.atom_type` chooses from.
    layers
        Number of graph layers.
    """
    start, column = batch.row_start.numpy(), batch.column.numpy()
    values = weight.detach().numpy()
    if not values.all():
        kept = values != 0
        start = np.concatenate([[0], kept.cumsum()])[start]
        column, values = column[kept], values[kept]
    length = np.diff(start)
    bits = values.astype(np.float64).view(np.uint64)
    kind = batch.atom_type.numpy()
    levels = []
    for _ in range(layers):
        name = _mix(np.arange(1, kinds + 1, dtype=np.uint64) * STEP)
        # Sums modulo 2^64: the order of the neighbours does not matter, their number does.
        sums = np.zeros(len(column) + 1, np.uint64)
        np.cumsum(_mix(name[kind[column]] ^ bits), out=sums[1:])
        after, first = _numbered(_mix(sums[start[1:]] - sums[start[:-1]] + name[kind]))
        entries = _ranges(start[first], length[first])
        # An atom's own surroundings stand before its neighbours'.
        own = np.cumsum(length[first]) - length[first]
        matrix = _matrix(
            np.concatenate([[0], np.cumsum(length[first] + 1)]),
            np.insert(2 * kind[column[entries]], own, 2 * kind[first] + 1),
            np.insert(values[entries], own, 1),
            2 * kinds,
        )
        kind, kinds = after, len(first)
        count = np.bincount(kind, minlength=kinds).astype(np.float32)
        levels.append(Level(matrix, torch.from_numpy(count)))
    atoms = np.bincount(batch.molecule.numpy(), minlength=batch.molecules)
    ends = np.concatenate([[0], np.cumsum(atoms)])
    pooling = _matrix(ends, kind, np.ones(len(kind), values.dtype), kinds)
    return Environments(levels, pooling)


def every_atom(batch: Batch, weight: Tensor, kinds: int, layers: int) -> Environments:
    """Give every atom a row of its own: the plain form, on any device.

    Parameters and result as in `distinct_environments`.
    """
    atoms = torch.arange(len(batch.atom_type), device=batch.column.device)
    row = torch.cat([batch.row, atoms])
    values = torch.cat([weight, weight.new_ones(len(atoms))])

    def level(kind: Tensor, kinds: int) -> Level:
        column = torch.cat([2 * kind[batch.column], 2 * kind + 1])
        return Level(_sorted_matrix(row, column, values, (len(atoms), 2 * kinds)), None)

    first, *others = [(batch.atom_type, kinds), *[(atoms, len(atoms))] * (layers - 1)]
    levels = [level(*first)]
    levels += [level(*others[0])] * len(others) if others else []
    size = (batch.molecules, len(atoms))
    return Environments(levels, _sorted_matrix(batch.molecule, atoms, values[-len(atoms) :], size))


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


def _ranges(start: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Concatenate start[i] .. start[i] + count[i] - 1."""
    shift = np.repeat(start - np.cumsum(count) + count, count)
    return np.arange(len(shift)) + shift


def _matrix(
    start: NDArray[np.int64],
    column: NDArray[np.int64],
    values: NDArray[np.floating[Any]],
    width: int,
) -> SparseMatrix:
    rows = scipy.sparse.csr_array((values, column, start), shape=(len(start) - 1, width))
    columns = rows.tocsc()
    return SparseMatrix(
        _compressed_rows(rows.indptr, rows.indices, rows.data, rows.shape),
        _compressed_rows(columns.indptr, columns.indices, columns.data, rows.shape[::-1]),
    )


def _compressed_rows(
    start: NDArray[np.integer[Any]],
    column: NDArray[np.integer[Any]],
    values: NDArray[np.floating[Any]],
    size: tuple[int, ...],
) -> Tensor:
    return torch.sparse_csr_tensor(
        torch.from_numpy(start), torch.from_numpy(column), torch.from_numpy(values), size,
        check_invariants=False,
    )  # fmt: skip


def _sorted_matrix(
    row: Tensor, column: Tensor, values: Tensor, size: tuple[int, int]
) -> SparseMatrix:
    pairs = torch.sparse_coo_tensor(
        torch.stack([row, column]), values, size, check_invariants=False
    )
    return SparseMatrix(pairs.coalesce().to_sparse_csr(), pairs.t().coalesce().to_sparse_csr())
