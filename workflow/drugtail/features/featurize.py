"""From molecules.parquet to feature files, in parallel and with bounded memory."""

from __future__ import annotations

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
        Folder; also gets ``features.json``.
    workers
        Processes. At most three chunks of 1,000 molecules are held for each, and arrays grow on
        disk: memory does not depend on the number of molecules.
    """
    if featurizer not in ("atoms", "morgan"):
        raise DrugtailError(f"--featurizer {featurizer!r}: use atoms or morgan")
    work, counted = (pack_atoms, "atom_counts") if featurizer == "atoms" else (morgan_bits, "bits")
    pieces = (
        piece["smiles"].tolist() for piece in read_parquet_pieces(molecules, ["smiles"], CHUNK)
    )
    with atomic_directory(output) as folder:
        shapes = _append_all(folder, in_order(work, pieces, workers))
        if not shapes:
            raise DrugtailError(f"{molecules}: holds no molecule; run `drugtail prepare` again")
        write_json(
            folder / "features.json",
            {"featurizer": featurizer, "molecules": shapes[counted][0], "arrays": shapes},
        )


def pack_atoms(smiles: Sequence[str]) -> Chunk:
    """Codes of atoms and bonds of a list of valid SMILES, as the arrays of `PackedGraphs`.

    Bonds of a molecule are sorted by their ends, the smaller first.

    Raises
    ------
    DrugtailError
        If a SMILES cannot be parsed or has more than 65,535 atoms.
    """
    facts: list[list[Any]] = [[] for _ in FACTS]
    first, second, orders = ([np.empty(0, dtype=np.int64)] for _ in range(3))
    atom_counts = np.empty(len(smiles), dtype=np.int32)
    bond_counts = np.empty(len(smiles), dtype=np.int32)
    for i, molecule in enumerate(_parse(smiles)):
        if molecule.GetNumAtoms() > MOST_ATOMS:
            raise DrugtailError(f"{smiles[i][:60]}…: has more than {MOST_ATOMS} atoms")
        # Not GetAtoms(), whose iterator is written in Python.
        atoms = [*map(molecule.GetAtomWithIdx, range(molecule.GetNumAtoms()))]
        # One call per fact and atom is what this costs; everything else is left to arrays.
        for known, (read, _) in zip(facts, FACTS.values(), strict=True):
            known.extend(map(read, atoms))
        for known, values in zip((first, second, orders), _bonds(molecule), strict=True):
            known.append(values)
        atom_counts[i], bond_counts[i] = len(atoms), molecule.GetNumBonds()
    codes = [
        # A degree above 255 is as little listed as 255 is.
        table[np.minimum(np.asarray(known, dtype=np.int64), 255)]
        for known, (_, table) in zip(facts, FACTS.values(), strict=True)
    ]
    ends = np.stack([np.concatenate(first), np.concatenate(second)], axis=1)
    once = ends[:, 0] < ends[:, 1]
    order = np.concatenate(orders)[once]
    bond_types = np.zeros(len(order), dtype=np.uint8)
    for name, value in BOND_ORDERS.items():
        bond_types[order == value] = BONDS.index(name)
    return {
        "atoms": np.stack(codes, axis=1),
        "bonds": ends[once].astype(np.uint16),
        "bond_types": bond_types,
        "atom_counts": atom_counts,
        "bond_counts": bond_counts,
    }


def _bonds(molecule: Chem.Mol) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """First ends, second ends and orders of the bonds, sorted by ends; 0 for one of another kind.

    Bonds may stand there a second time with their ends exchanged.
    """
    if molecule.GetNumAtoms() <= MATRIX_ATOMS:
        adjacency = Chem.GetAdjacencyMatrix(molecule, useBO=True)
        first, second = adjacency.nonzero()
        # Not so for dative bonds, which stand there in one direction, or bonds without an order.
        if len(first) == 2 * molecule.GetNumBonds():
            return first, second, adjacency[first, second]
    known = sorted(
        (
            *sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())),
            BOND_ORDERS.get(str(bond.GetBondType()), 0.0),
        )
        for bond in molecule.GetBonds()
    )
    table = np.array(known, dtype=np.float64).reshape(-1, 3)
    return table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2]


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


# Field -> how to read it off an atom, and the table from what is read to the code. Negative
# numbers (charges) count from the end of a table.
FACTS: dict[str, tuple[Callable[[Chem.Atom], Any], NDArray[np.uint8]]] = {
    "element": (
        Chem.Atom.GetAtomicNum,
        _places([Chem.GetPeriodicTable().GetAtomicNumber(element) for element in ELEMENTS]),
    ),
    "degree": (Chem.Atom.GetDegree, _places(range(11))),
    # Implicit hydrogens and implicit valence are the same number under two names.
    "implicit_valence": (Chem.Atom.GetNumImplicitHs, _places(range(7))),
    "formal_charge": (
        Chem.Atom.GetFormalCharge,
        np.roll(np.arange(len(CHARGES)), CHARGES.start).astype(np.uint8),
    ),
    "radical_electrons": (Chem.Atom.GetNumRadicalElectrons, np.arange(256, dtype=np.uint8)),
    "hybridization": (
        Chem.Atom.GetHybridization,
        _places([int(getattr(Chem.HybridizationType, name)) for name in HYBRIDIZATIONS]),
    ),
    "aromatic": (Chem.Atom.GetIsAromatic, np.arange(256, dtype=np.uint8)),
    "hydrogens": (Chem.Atom.GetTotalNumHs, _places(range(5))),
}
assert list(FACTS) == list(FIELDS)
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
        for name, array in chunk.items():
            handles[name].write(np.ascontiguousarray(array).tobytes())
            shapes[name][0] += len(array)
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
