"""Atoms as small codes: the 74 features of DGL-LifeSci's canonical featurizer, one byte a field.

A feature vector of 74 floats per atom holds eight facts. They are stored as eight codes; row k of
`feature_matrix` is what code k adds to the float vector, so the float form of an atom is the sum
of eight rows, and a linear layer on it is a sum of eight rows of (feature matrix @ weight).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drugtail.data.elements import ELEMENTS

HYBRIDIZATIONS = ("SP", "SP2", "SP3", "SP3D", "SP3D2")
# All that RDKit can store, one byte each.
CHARGES = range(-128, 128)
RADICALS = range(256)

# Field -> number of codes. Code 0 of an enumerated field says "none of the listed".
FIELDS = {
    "element": len(ELEMENTS) + 1,
    "degree": 11 + 1,
    "implicit_valence": 7 + 1,
    "formal_charge": len(CHARGES),
    "radical_electrons": len(RADICALS),
    "hybridization": len(HYBRIDIZATIONS) + 1,
    "aromatic": 2,
    "hydrogens": 5 + 1,
}
FEATURES = 74
# Kinds of bonds, in the order of their codes.
BONDS = ("OTHER", "SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")


def field_offsets() -> NDArray[np.int64]:
    """First row of each field in `feature_matrix`, shape [8]."""
    return np.concatenate([[0], np.cumsum(list(FIELDS.values()))[:-1]])


def feature_matrix() -> NDArray[np.float32]:
    """Return the contribution of each code to the 74 float features, [codes of all fields, 74].

    Columns: 43 elements, degree 0-10, implicit valence 0-6, formal charge (a number), radical
    electrons (a number), hybridisation SP/SP2/SP3/SP3D/SP3D2, aromatic, 0-4 hydrogens.
    """
    blocks = [
        _listed(len(ELEMENTS)),
        _listed(11),
        _listed(7),
        np.array(CHARGES, dtype=np.float32)[:, None],
        np.array(RADICALS, dtype=np.float32)[:, None],
        _listed(len(HYBRIDIZATIONS)),
        np.array([[0], [1]], dtype=np.float32),
        _listed(5),
    ]
    rows, columns = (sum(block.shape[axis] for block in blocks) for axis in (0, 1))
    matrix = np.zeros((rows, columns), dtype=np.float32)
    row = column = 0
    for block in blocks:
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]
    return matrix


def expand(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the 74 float features of atoms given as codes.

    Parameters
    ----------
    codes
        Shape [atoms, 8].

    Returns
    -------
    numpy.ndarray
        Shape [atoms, 74].
    """
    rows = codes.astype(np.int64) + field_offsets()
    expanded: NDArray[np.float32] = feature_matrix()[rows].sum(axis=1)
    return expanded


def _listed(count: int) -> NDArray[np.float32]:
    """Code 0 adds nothing, code k sets feature k - 1."""
    return np.concatenate([np.zeros((1, count)), np.eye(count)]).astype(np.float32)
