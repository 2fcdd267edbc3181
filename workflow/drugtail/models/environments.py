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

from drugtail.features.packed import GraphBatch

# PyTorch says in every process that compressed sparse rows are in beta.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")

# Odd constants of the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
STEP, FIRST, SECOND = (
    np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
)  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Compressed rows of a sparse matrix.

    A column may stand in a row several times, and columns are in no order.

    Attributes
    ----------
    start : Tensor
        int64 or int32 [n + 1]; where each row begins.
    column : Tensor
        int64 or int32 [entries].
    value : Tensor
        [entries].
    width : int
        Number of columns m.
    """

    start: Tensor
    column: Tensor
    value: Tensor
    width: int

    def to_sparse(self) -> Tensor:
        """As PyTorch's sparse CSR tensor, [n, m]."""
        shape = (len(self.start) - 1, self.width)
        return torch.sparse_csr_tensor(
            self.start, self.column, self.value, shape, check_invariants=False
        )


@dataclass(frozen=True)
class SparseMatrix:
    """A sparse matrix, [n, m], and its transpose, both as compressed rows."""

    rows: Rows
    columns: Rows


@dataclass(frozen=True)
class Level:
    """Step of one graph layer from the surroundings before it to those after it.

    Every seed has as many surroundings as the seed with the most; those that fill it up belong to
    no atom.

    Attributes
    ----------
    matrix : SparseMatrix
        [S · after, 2 · S · before]: column 2k holds the adjacency entries towards surroundings k,
        column 2k + 1 is 1 where k are the surroundings of the atom itself. Seed by seed.
    count : Tensor
        How many atoms of the batch have each of the surroundings, float32 [S, after].
    """

    matrix: SparseMatrix
    count: Tensor


@dataclass(frozen=True)
class Environments:
    """A batch as its surroundings, level by level.

    Attributes
    ----------
    x : Tensor
        Features of the surroundings before the first layer, [S, before, features].
    levels : list of Level
        One per graph layer.
    pooling : SparseMatrix
        [S · (molecules + 1), S · after the last level]: how often each molecule has the
        surroundings. The last row of each seed is of what fills it up.
    """

    x: Tensor
    levels: list[Level]
    pooling: SparseMatrix


def distinct_environments(batch: GraphBatch, layers: int) -> Environments:
    """Find the distinct surroundings of the atoms of a batch, level by level.

    Surroundings are compared by a 64-bit hash of the atom's own before the layer, and of those of
    its neighbours with the adjacency entries that lead to them, in any order. Two of n different
    ones share a hash with a probability of about n² / 2^65.

    Parameters
    ----------
    batch
        The molecules of S seeds, on the CPU. Entries of the adjacency matrix that are 0 are left
        out; no gradient flows to them.
    layers
        Number of graph layers.
    """
    seeds, atoms = batch.atom_type.shape
    whole, kinds = batch.joined(), len(batch.type_features)
    # A copy, since dropped entries are taken out of it.
    adjacency = scipy.sparse.csr_array(
        (whole.norm.detach().numpy(), whole.column.numpy(), whole.row_start.numpy()),
        shape=(seeds * atoms, seeds * atoms), copy=True,
    )  # fmt: skip
    adjacency.eliminate_zeros()
    bits = adjacency.data.astype(np.float64).view(np.uint64)
    seed = np.arange(seeds)
    kind = (batch.atom_type.numpy() + kinds * seed[:, None]).ravel()
    real = (batch.molecule < batch.molecules).numpy().ravel()
    levels = []
    for _ in range(layers):
        name = _mix(np.arange(1, seeds * kinds + 1, dtype=np.uint64) * STEP)
        # Sums modulo 2^64: the order of the neighbours does not matter, their number does.
        sums = np.zeros(len(bits) + 1, np.uint64)
        np.cumsum(_mix(name[kind[adjacency.indices]] ^ bits), out=sums[1:])
        number, first = _numbered(np.diff(sums[adjacency.indptr]) + name[kind])
        found = np.bincount(first // atoms, minlength=seeds)
        after = int(found.max())
        place = np.arange(len(first)) + np.repeat(after * seed - found.cumsum() + found, found)
        one_each = adjacency[first]
        start = np.zeros(seeds * after + 1, dtype=np.int64)
        start[place + 1] = np.diff(one_each.indptr) + 1
        # An atom's own surroundings stand before its neighbours'.
        own = one_each.indptr[:-1]
        matrix = _matrix(
            start.cumsum(),
            np.insert(2 * kind[one_each.indices], own, 2 * kind[first] + 1),
            np.insert(one_each.data, own, 1),
            2 * seeds * kinds,
        )
        kind, kinds = place[number], after
        count = np.bincount(kind, weights=real, minlength=seeds * after).astype(np.float32)
        levels.append(Level(matrix, torch.from_numpy(count).view(seeds, after)))
    ones = np.ones(len(kind), adjacency.dtype)
    pooling = _matrix(whole.molecule_start.numpy(), kind, ones, seeds * kinds)
    return Environments(batch.type_features.expand(seeds, -1, -1), levels, pooling)


def every_atom(batch: GraphBatch, layers: int) -> Environments:
    """Give every atom a row of its own: the plain form, on any device and without waiting for it.

    All shapes follow from those of the batch, and nothing is added up in an order that could
    change. Parameters and result as in `distinct_environments`.
    """
    whole = batch.joined()
    values = whole.norm
    atoms, entries = len(whole.atom_type), len(values)
    start = whole.row_start + torch.arange(atoms + 1, device=values.device)
    place = torch.arange(atoms + entries, device=values.device)
    count = whole.row_start.diff() + 1
    row = place[:atoms].repeat_interleave(count, output_size=atoms + entries)
    # An atom's own column stands after its neighbours'.
    own = place == start[1:][row] - 1
    entry = (place - row).clamp(max=entries - 1)
    column, value = whole.column[entry], values[entry]
    matrix = SparseMatrix(
        Rows(start, torch.where(own, 2 * row + 1, 2 * column), value.where(~own, 1), 2 * atoms),
        # The pattern is symmetric: the transpose takes its values from the opposite entries.
        Rows(
            torch.cat([torch.stack([start[:-1], start[1:] - 1], dim=1).flatten(), start[-1:]]),
            torch.where(own, row, column), values[whole.reverse[entry]].where(~own, 1), atoms,
        ),
    )  # fmt: skip
    real = (batch.molecule < batch.molecules).float()
    one, each = values.new_ones(atoms), torch.arange(atoms + 1, device=values.device)
    pooling = SparseMatrix(
        Rows(whole.molecule_start, each[:-1], one, atoms),
        Rows(each, whole.molecule, one, len(whole.molecule_start) - 1),
    )
    x = batch.type_features[batch.atom_type]
    return Environments(x, [Level(matrix, real)] * layers, pooling)


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
    return SparseMatrix(_from_scipy(rows, width), _from_scipy(rows.tocsc(), len(start) - 1))


def _from_scipy(matrix: Any, width: int) -> Rows:
    """Compressed rows, or compressed columns as the rows of the transpose."""
    start, column, value = map(torch.from_numpy, (matrix.indptr, matrix.indices, matrix.data))
    return Rows(start, column, value, width)
