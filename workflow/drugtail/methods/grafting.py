"""Cutting molecules at a bond and joining the fragments of two of them: CutMix for graphs.

CutMix (Yun et al., ICCV 2019) pastes a patch of one image over another. A molecule has no patches,
but bonds that hold two fragments of it together: single and in no ring. Cutting one leaves two
fragments, and joining a fragment of one molecule to a fragment of another by a single bond leaves
every atom with the bonds, hydrogens and valence it had, so that its features stay right. (All but
one: where the new bond would make an amine an amide, say, RDKit would call its nitrogen SP2, and
here it stays SP3.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from drugtail.features.atoms import BONDS

SINGLE = BONDS.index("SINGLE")
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Fragments:
    """Every fragment that some molecules can be cut into by one bond, K in all.

    Attributes
    ----------
    molecule : numpy.ndarray
        Which molecule it is a fragment of, int64 [K], ascending.
    end : numpy.ndarray
        Its atom at the cut, numbered within the molecule, int64 [K].
    start : numpy.ndarray
        Where the atoms of its molecule begin in `kept`, and where the last ones end, int64 [K + 1].
    kept : numpy.ndarray
        Which atoms of the molecule belong to it, bool [Σ atoms].
    """

    molecule: NDArray[np.int64]
    end: NDArray[np.int64]
    start: NDArray[np.int64]
    kept: NDArray[np.bool_]


def select(arrays: Arrays, molecules: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The packed arrays of some molecules, in the order given."""
    atoms, bonds = (arrays[name].astype(np.int64) for name in ("atom_counts", "bond_counts"))
    atom = _ranges((np.cumsum(atoms) - atoms)[molecules], atoms[molecules])
    bond = _ranges((np.cumsum(bonds) - bonds)[molecules], bonds[molecules])
    return {
        "atoms": arrays["atoms"][atom],
        "bonds": arrays["bonds"][bond],
        "bond_types": arrays["bond_types"][bond],
        "atom_counts": arrays["atom_counts"][molecules],
        "bond_counts": arrays["bond_counts"][molecules],
    }


def find_fragments(arrays: Arrays, smallest: int = 2) -> Fragments:
    """Find every fragment of every molecule, both sides of each cut.

    Parameters
    ----------
    arrays
        Packed arrays, as named in `drugtail.features.packed.ARRAYS`.
    smallest
        Least number of atoms on either side.
    """
    atoms, bonds = (arrays[name].astype(np.int64) for name in ("atom_counts", "bond_counts"))
    owner = np.repeat(np.arange(len(atoms)), bonds)
    cut = np.flatnonzero(arrays["bond_types"] == SINGLE)
    # One copy of the molecule for each of its single bonds, without that bond. Where its ends then
    # lie in two components, it was in no ring.
    molecule = owner[cut]
    size = atoms[molecule]
    start = np.concatenate([[0], np.cumsum(size)])
    copy = np.repeat(np.arange(len(cut)), bonds[molecule])
    bond = _ranges((np.cumsum(bonds) - bonds)[molecule], bonds[molecule])
    others = bond != cut[copy]
    ends = arrays["bonds"].astype(np.int64)
    row, column = (ends[bond[others]] + start[copy[others], None]).T
    graph = scipy.sparse.coo_array(
        (np.ones(len(row), dtype=np.int8), (row, column)), shape=(start[-1], start[-1])
    )
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    first, second = (ends[cut] + start[:-1, None]).T
    found = []
    for end, other in ((first, second), (second, first)):
        kept = component == np.repeat(component[end], size)
        # What lies in neither component is another ion of a salt; it stays away.
        left = component == np.repeat(component[other], size)
        enough = np.minimum(_sums(kept, start), _sums(left, start)) >= smallest
        good = np.flatnonzero((component[end] != component[other]) & enough)
        found.append((good, end[good] - start[good], kept))
    chosen = np.concatenate([good for good, _, _ in found])
    side = np.repeat([0, 1], [len(good) for good, _, _ in found])
    order = np.lexsort((side, chosen))
    chosen, side = chosen[order], side[order]
    place = _ranges(start[chosen], size[chosen])
    masks = np.stack([kept for _, _, kept in found])
    return Fragments(
        molecule=molecule[chosen],
        end=np.concatenate([end for _, end, _ in found])[order],
        start=np.concatenate([[0], np.cumsum(size[chosen])]),
        kept=masks[np.repeat(side, size[chosen]), place],
    )


def contrast(
    fragments: Fragments, arrays: Arrays, activation: NDArray[np.floating[Any]]
) -> NDArray[Any]:
    """Mean activation of the atoms of each fragment, less that of the molecule's other atoms; [K].

    Parameters
    ----------
    fragments, arrays
        Of some molecules.
    activation
        Of each of their atoms, [Σ atoms].
    """
    atoms = arrays["atom_counts"].astype(np.int64)
    first = np.cumsum(atoms) - atoms
    value = activation[_ranges(first[fragments.molecule], atoms[fragments.molecule])].astype(
        np.float64
    )
    inside, outside = (
        _sums(np.where(where, value, 0), fragments.start) / _sums(where, fragments.start)
        for where in (fragments.kept, ~fragments.kept)
    )
    difference: NDArray[Any] = inside - outside
    return difference


def best_fragment(fragments: Fragments, score: NDArray[Any], molecules: int) -> NDArray[np.int64]:
    """Fragment with the highest score of each molecule, int64 [molecules]; −1 if it has none."""
    best = np.full(molecules, -1)
    order = np.argsort(score, kind="stable")
    best[fragments.molecule[order]] = order
    return best


def join(
    arrays: Arrays, fragments: Fragments, first: NDArray[np.int64], second: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Join fragments in pairs, by a single bond between their atoms at the cuts.

    Parameters
    ----------
    arrays, fragments
        Of some molecules.
    first, second
        Which fragment with which, int64 [G].

    Returns
    -------
    dict
        Packed arrays of the G molecules that arise.
    """
    atoms, bonds = (arrays[name].astype(np.int64) for name in ("atom_counts", "bond_counts"))
    chosen = np.stack([first, second], axis=1).ravel()
    molecule = fragments.molecule[chosen]
    size = atoms[molecule]
    kept = fragments.kept[_ranges(fragments.start[chosen], size)]
    start = np.concatenate([[0], np.cumsum(size)])
    # Atoms of a pair are numbered through both of its fragments.
    number = np.cumsum(kept) - 1
    count = _sums(kept, start).reshape(-1, 2).sum(axis=1)
    begin = np.repeat(np.cumsum(count) - count, 2)

    piece = np.repeat(np.arange(len(chosen)), bonds[molecule])
    bond = _ranges((np.cumsum(bonds) - bonds)[molecule], bonds[molecule])
    ends = arrays["bonds"][bond].astype(np.int64) + start[piece, None]
    whole = kept[ends].all(axis=1)
    old = number[ends[whole]] - begin[piece[whole], None]
    new = (number[start[:-1] + fragments.end[chosen]] - begin).reshape(-1, 2)
    pair = np.concatenate([piece[whole] // 2, np.arange(len(new))])
    order = np.argsort(pair, kind="stable")
    kinds = np.concatenate([arrays["bond_types"][bond[whole]], np.full(len(new), SINGLE)])
    where = _ranges((np.cumsum(atoms) - atoms)[molecule], size)[kept]
    return {
        "atoms": arrays["atoms"][where],
        "bonds": np.concatenate([old, new])[order].astype(arrays["bonds"].dtype),
        "bond_types": kinds[order].astype(arrays["bond_types"].dtype),
        "atom_counts": count.astype(arrays["atom_counts"].dtype),
        "bond_counts": np.bincount(pair, minlength=len(new)).astype(arrays["bond_counts"].dtype),
    }


def _ranges(start: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """start[i] .. start[i] + count[i] − 1, one after the other."""
    shift = np.repeat(start - (np.cumsum(count) - count), count)
    places: NDArray[np.int64] = np.arange(len(shift)) + shift
    return places


def _sums(values: NDArray[Any], start: NDArray[np.int64]) -> NDArray[Any]:
    """Sum between each two successive starts; no range is empty."""
    if len(start) == 1:
        return np.zeros(0)
    dtype = np.int64 if values.dtype == bool else values.dtype
    total: NDArray[Any] = np.add.reduceat(values, start[:-1], dtype=dtype)
    return total
