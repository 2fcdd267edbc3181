"""From molecules.parquet to feature files, in parallel and with bounded memory."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from drugtail.features.atoms import CHARGES, ELEMENTS, FIELDS, HYBRIDIZATIONS
from drugtail.features.packed import BONDS
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_parquet_pieces, write_json

CHUNK = 1000
MORGAN_RADIUS, MORGAN_BITS = 2, 2048
MOST_ATOMS = 2**16 - 1
# Larger molecules have their bonds read one by one: a matrix grows with the square.
MATRIX_ATOMS = 250

Chunk = dict[str, NDArray[Any]]
Piece = TypeVar("Piece")
Result = TypeVar("Result")


def featurize(molecules: Path, featurizer: str, output: Path, *, workers: int = 1) -> None:
    """Write the features of all molecules into the folder `output`.

    Parameters
    ----------
    molecules
        ``molecules.parquet`` of the data set.
    featurizer
        ``atoms`` (packed graphs, see `drugtail.features.packed`) or ``morgan`` (packed bits of
        the Morgan fingerprint, radius 2, 2,048 bits: ``bits.npy``, uint8 [N, 256]).
    output
        Folder; also gets ``features.json`` (numbers, shapes, SHA-256 of every array).
    workers
        Processes. At most three chunks of 1,000 molecules are held for each, and arrays grow on
        disk. Their pages count as memory while the files are finished: 0.7 GB for a million.
    """
    if featurizer not in ("atoms", "morgan"):
        raise DrugtailError(f"--featurizer {featurizer!r}: use atoms or morgan")
    work, counted = (pack_atoms, "atom_counts") if featurizer == "atoms" else (morgan_bits, "bits")
    pieces = (
        piece["smiles"].tolist() for piece in read_parquet_pieces(molecules, ["smiles"], CHUNK)
    )
    with atomic_directory(output, marker="features.json") as folder:
        shapes = _append_all(folder, in_order(work, pieces, workers))
        if not shapes:
            raise DrugtailError(f"{molecules}: holds no molecule; run `drugtail prepare` again")
        write_json(
            folder / "features.json",
            {
                "featurizer": featurizer,
                # Features belong to these molecules and no others.
                "molecules_sha256": file_digest(molecules),
                "molecules": shapes[counted][0],
                "arrays": shapes,
                # So that the digest of this file, an input of training, is one of the content.
                "sha256": {name: file_digest(folder / f"{name}.npy") for name in shapes},
            },
        )


def pack_atoms(smiles: Sequence[str]) -> Chunk:
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
    for i, molecule in enumerate(_parse(smiles)):
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
    """Where bonds stand in the flattened adjacency matrix, ascending, and their orders.

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


def morgan_bits(smiles: Sequence[str]) -> Chunk:
    """Morgan fingerprints of a list of valid SMILES: ``bits`` uint8 [N, 256], packed."""
    generator = GetMorganGenerator(radius=MORGAN_RADIUS, fpSize=MORGAN_BITS)
    bits = np.empty((len(smiles), MORGAN_BITS // 8), dtype=np.uint8)
    for i, molecule in enumerate(_parse(smiles)):
        bits[i] = np.packbits(generator.GetFingerprintAsNumPy(molecule))
    return {"bits": bits}


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


def _parse(smiles: Sequence[str]) -> Iterator[Any]:
    with rdBase.BlockLogs():
        for text in smiles:
            molecule = Chem.MolFromSmiles(text)
            if molecule is None:
                raise DrugtailError(
                    f"{text[:60]!r} is not a molecule; run `drugtail prepare` again"
                )
            yield molecule


def in_order(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], workers: int
) -> Iterator[Result]:
    """Like ``map``, in several processes, and never more than twice as many pieces ahead.

    An executor's own ``map`` takes all pieces at once and keeps what is finished early.
    """
    if workers <= 1:
        yield from map(work, pieces)
        return
    with ProcessPoolExecutor(max_workers=workers) as pool:
        waiting: deque[Future[Result]] = deque()
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _append_all(folder: Path, chunks: Iterator[Chunk]) -> dict[str, list[int]]:
    """Append the arrays of all chunks to ``{name}.npy`` files without holding them in memory.

    Returns the shapes; of no chunk there are none.
    """
    first = next(chunks, {})
    shapes = {name: [0, *array.shape[1:]] for name, array in first.items()}
    handles = {name: (folder / f"{name}.raw").open("wb") for name in first}
    for chunk in chain([first], chunks):
        for name, values in chunk.items():
            handles[name].write(np.ascontiguousarray(values).tobytes())
            shapes[name][0] += len(values)
    for name, handle in handles.items():
        handle.close()
        _with_header(folder, name, first[name].dtype, tuple(shapes[name]))
    return shapes


def _with_header(folder: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Turn raw bytes into an .npy file, a piece at a time."""
    target = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
    raw = folder / f"{name}.raw"
    if target.size:
        source = np.memmap(raw, dtype=dtype, mode="r", shape=shape)
        step = 1 << 20
        for start in range(0, shape[0], step):
            target[start : start + step] = source[start : start + step]
        target.flush()
    raw.unlink()
