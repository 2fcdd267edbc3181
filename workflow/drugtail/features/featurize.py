"""From molecules.parquet to feature files, in parallel and with bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from drugtail.features.atoms import CHARGES, ELEMENTS, FIELDS, HYBRIDIZATIONS
from drugtail.features.packed import ARRAYS, BONDS
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_parquet, write_json

CHUNK = 1000
MORGAN_RADIUS, MORGAN_BITS = 2, 2048
MOST_ATOMS = 2**16 - 1

Chunk = dict[str, NDArray[Any]]


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
        Processes. A chunk of 1,000 molecules at a time is held for each, and arrays grow on disk.
    """
    if featurizer not in ("atoms", "morgan"):
        raise DrugtailError(f"--featurizer {featurizer!r}: use atoms or morgan")
    smiles = read_parquet(molecules, ["smiles"])["smiles"].tolist()
    if not smiles:
        raise DrugtailError(f"{molecules}: holds no molecule; run `drugtail prepare` again")
    work = pack_atoms if featurizer == "atoms" else morgan_bits
    with atomic_directory(output) as folder:
        shapes = _append_all(folder, _chunks(work, smiles, workers))
        write_json(
            folder / "features.json",
            {"featurizer": featurizer, "molecules": len(smiles), "arrays": shapes},
        )


def pack_atoms(smiles: Sequence[str]) -> Chunk:
    """Codes of atoms and bonds of a list of valid SMILES, as the arrays of `PackedGraphs`.

    Raises
    ------
    DrugtailError
        If a SMILES cannot be parsed or has more than 65,535 atoms.
    """
    codes = bytearray()
    ends: list[int] = []
    bond_codes = bytearray()
    atom_counts = np.empty(len(smiles), dtype=np.int32)
    bond_counts = np.empty(len(smiles), dtype=np.int32)
    for i, molecule in enumerate(_parse(smiles)):
        if molecule.GetNumAtoms() > MOST_ATOMS:
            raise DrugtailError(f"{smiles[i][:60]}…: has more than {MOST_ATOMS} atoms")
        for atom in molecule.GetAtoms():
            codes += bytes(
                (
                    ELEMENT_CODE.get(atom.GetSymbol(), 0),
                    d + 1 if (d := atom.GetDegree()) <= 10 else 0,
                    (v + 1 if (v := atom.GetValence(IMPLICIT)) <= 6 else 0),
                    CHARGE_CODE[atom.GetFormalCharge()],
                    atom.GetNumRadicalElectrons(),
                    HYBRIDIZATION_CODE.get(atom.GetHybridization(), 0),
                    atom.GetIsAromatic(),
                    h + 1 if (h := atom.GetTotalNumHs()) <= 4 else 0,
                )
            )
        for bond in molecule.GetBonds():
            ends.append(bond.GetBeginAtomIdx())
            ends.append(bond.GetEndAtomIdx())
            bond_codes.append(BOND_CODE.get(bond.GetBondType(), 0))
        atom_counts[i] = molecule.GetNumAtoms()
        bond_counts[i] = molecule.GetNumBonds()
    return {
        "atoms": np.frombuffer(bytes(codes), dtype=np.uint8).reshape(-1, len(FIELDS)),
        "bonds": np.array(ends, dtype=np.uint16).reshape(-1, 2),
        "bond_types": np.frombuffer(bytes(bond_codes), dtype=np.uint8),
        "atom_counts": atom_counts,
        "bond_counts": bond_counts,
    }


def morgan_bits(smiles: Sequence[str]) -> Chunk:
    """Morgan fingerprints of a list of valid SMILES: ``bits`` uint8 [N, 256], packed."""
    generator = GetMorganGenerator(radius=MORGAN_RADIUS, fpSize=MORGAN_BITS)
    bits = np.empty((len(smiles), MORGAN_BITS // 8), dtype=np.uint8)
    for i, molecule in enumerate(_parse(smiles)):
        bits[i] = np.packbits(generator.GetFingerprintAsNumPy(molecule))
    return {"bits": bits}


IMPLICIT = Chem.ValenceType.IMPLICIT
ELEMENT_CODE = {element: code for code, element in enumerate(ELEMENTS, start=1)}
HYBRIDIZATION_CODE = {
    getattr(Chem.HybridizationType, name): code for code, name in enumerate(HYBRIDIZATIONS, start=1)
}
CHARGE_CODE = {charge: code for code, charge in enumerate(CHARGES)}
BOND_CODE = {getattr(Chem.BondType, name): code for code, name in enumerate(BONDS) if code}


def _parse(smiles: Sequence[str]) -> Iterator[Any]:
    with rdBase.BlockLogs():
        for text in smiles:
            molecule = Chem.MolFromSmiles(text)
            if molecule is None:
                raise DrugtailError(
                    f"{text[:60]!r} is not a molecule; run `drugtail prepare` again"
                )
            yield molecule


def _chunks(
    work: Callable[[Sequence[str]], Chunk], smiles: list[str], workers: int
) -> Iterator[Chunk]:
    pieces = (smiles[start : start + CHUNK] for start in range(0, len(smiles), CHUNK))
    if workers <= 1:
        yield from map(work, pieces)
        return
    with ProcessPoolExecutor(max_workers=workers) as pool:
        yield from pool.map(work, pieces)


def _append_all(folder: Path, chunks: Iterator[Chunk]) -> dict[str, list[int]]:
    """Append the arrays of all chunks to ``{name}.npy`` files without holding them in memory."""
    first = next(chunks)
    shapes = {name: [0, *array.shape[1:]] for name, array in first.items()}
    handles = {name: (folder / f"{name}.raw").open("wb") for name in first}
    for chunk in chain([first], chunks):
        for name, array in chunk.items():
            handles[name].write(np.ascontiguousarray(array).tobytes())
            shapes[name][0] += len(array)
    for name, handle in handles.items():
        handle.close()
        _with_header(folder, name, first[name].dtype, tuple(shapes[name]))
    assert set(shapes) in (set(ARRAYS), {"bits"})
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
