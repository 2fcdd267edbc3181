"""Reading molecules: atoms and bonds as small codes."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from drugtail.data.elements import ELEMENTS
from drugtail.features.arrays import Arrays
from drugtail.features.atoms import BONDS, CHARGES, FIELDS, HYBRIDIZATIONS
from drugtail.runtime.errors import DrugtailError

MOST_ATOMS = 2**16 - 1
# Larger molecules have their bonds read one by one: a matrix grows with the square.
MATRIX_ATOMS = 250


def pack_atoms(smiles: Sequence[str]) -> Arrays:
    """Codes of atoms and bonds of a list of valid SMILES, as the arrays of `PackedGraphs`.

    Bonds of a molecule are sorted by their ends, the smaller first.

    Raises
    ------
    DrugtailError
        If a SMILES cannot be parsed or has more than 65,535 atoms.
    """
    # What is read goes straight into arrays: NumPy takes long over lists of Boost's enumerations.
    facts = {name: array("h") for name in READERS}
    cells, orders = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    atom_counts = np.empty(len(smiles), dtype=np.int32)
    bond_counts = np.empty(len(smiles), dtype=np.int32)
    for i, molecule in enumerate(parse_smiles(smiles)):
        if molecule.GetNumAtoms() > MOST_ATOMS:
            raise DrugtailError(f"{smiles[i][:60]}…: has more than {MOST_ATOMS} atoms")
        # Not GetAtoms(), whose iterator is written in Python.
        atoms = [*map(molecule.GetAtomWithIdx, range(molecule.GetNumAtoms()))]
        # One call per fact and atom is what this costs; everything else is left to arrays.
        for name, read in READERS.items():
            facts[name].extend(map(read, atoms))
        where, values = _bonds(molecule)
        cells.append(where)
        orders.append(values)
        atom_counts[i], bond_counts[i] = len(atoms), molecule.GetNumBonds()
    sizes = np.repeat(atom_counts, [*map(len, cells[1:])])
    ends = np.stack(np.divmod(np.concatenate(cells), sizes), axis=1)
    once = ends[:, 0] < ends[:, 1]
    ends, order = ends[once], np.concatenate(orders)[once]
    bond_types = np.zeros(len(order), dtype=np.uint8)
    for name, value in BOND_ORDERS.items():
        bond_types[order == value] = BONDS.index(name)
    starts = np.repeat(np.cumsum(atom_counts) - atom_counts, bond_counts)
    degree = np.bincount((ends + starts[:, None]).ravel(), minlength=atom_counts.sum())
    found = {"degree": degree} | {name: np.asarray(known) for name, known in facts.items()}
    # Above 255 a number is as little listed as 255 is.
    codes = [TABLES[name][np.minimum(found[name], 255)] for name in FIELDS]
    return {
        "atoms": np.stack(codes, axis=1),
        "bonds": ends.astype(np.uint16),
        "bond_types": bond_types,
        "atom_counts": atom_counts,
        "bond_counts": bond_counts,
    }


def _bonds(molecule: Chem.Mol) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return positions of bonds in the flattened adjacency matrix, ascending, and their orders.

    The order is 0 for one of another kind. Bonds may stand there in both directions.
    """
    atoms = molecule.GetNumAtoms()
    if atoms <= MATRIX_ATOMS:
        matrix = Chem.GetAdjacencyMatrix(molecule, True).ravel()
        cells = matrix.nonzero()[0]
        # Not so for dative bonds, which stand there in one direction, or bonds without an order.
        if len(cells) == 2 * molecule.GetNumBonds():
            return cells, matrix[cells]
    known = {}
    for bond in molecule.GetBonds():
        first, second = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        known[first * atoms + second] = BOND_ORDERS.get(str(bond.GetBondType()), 0.0)
    cells = np.array(sorted(known), dtype=np.int64)
    return cells, np.array([known[cell] for cell in sorted(known)])


def _places(values: Sequence[int]) -> NDArray[np.uint8]:
    """Table from a value of 0 .. 255 to its place in the list, counted from 1; 0 if it is not."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(values)] = np.arange(1, len(values) + 1)
    return table


# Field -> how to read it off an atom. The degree is counted from the bonds, which is cheaper.
READERS: dict[str, Callable[[Chem.Atom], Any]] = {
    "element": Chem.Atom.GetAtomicNum,
    # Implicit hydrogens and implicit valence are the same number under two names.
    "implicit_valence": Chem.Atom.GetNumImplicitHs,
    "formal_charge": Chem.Atom.GetFormalCharge,
    "radical_electrons": Chem.Atom.GetNumRadicalElectrons,
    "hybridization": Chem.Atom.GetHybridization,
    "aromatic": Chem.Atom.GetIsAromatic,
    "hydrogens": Chem.Atom.GetTotalNumHs,
}
# Field -> the code of what is read. Negative numbers (charges) count from the end of a table.
TABLES: dict[str, NDArray[np.uint8]] = {
    "element": _places([Chem.GetPeriodicTable().GetAtomicNumber(name) for name in ELEMENTS]),
    "degree": _places(range(11)),
    "implicit_valence": _places(range(7)),
    "formal_charge": np.roll(np.arange(len(CHARGES)), CHARGES.start).astype(np.uint8),
    "radical_electrons": np.arange(256, dtype=np.uint8),
    "hybridization": _places(
        [int(getattr(Chem.HybridizationType, name)) for name in HYBRIDIZATIONS]
    ),
    "aromatic": np.arange(256, dtype=np.uint8),
    "hydrogens": _places(range(5)),
}
assert set(TABLES) == set(FIELDS)
BOND_ORDERS = {"SINGLE": 1.0, "DOUBLE": 2.0, "TRIPLE": 3.0, "AROMATIC": 1.5}


def parse_smiles(smiles: Sequence[str]) -> Iterator[Any]:
    """RDKit molecules of a list of valid SMILES, one after the other."""
    with rdBase.BlockLogs():
        for text in smiles:
            molecule = Chem.MolFromSmiles(text)
            if molecule is None:
                raise DrugtailError(
                    f"{text[:60]!r} is not a molecule; run `drugtail prepare` again"
                )
            yield molecule
