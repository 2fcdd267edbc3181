"""Molecules of many kinds, and their features computed atom by atom."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rdkit import Chem, rdBase

from drugtail.runtime.parquet import write_parquet

# DGL-LifeSci, CanonicalAtomFeaturizer: atom_type_one_hot's default list.
ELEMENTS = [
    "C", "N", "O", "S", "F", "Si", "P", "Cl", "Br", "Mg", "Na", "Ca", "Fe", "As", "Al", "I", "B",
    "V", "K", "Tl", "Yb", "Sb", "Sn", "Ag", "Pd", "Co", "Se", "Ti", "Zn", "H", "Li", "Ge", "Cu",
    "Au", "Ni", "Cd", "In", "Mn", "Zr", "Cr", "Pt", "Hg", "Pb",
]  # fmt: skip


HYBRIDIZATIONS = ["SP", "SP2", "SP3", "SP3D", "SP3D2"]


VARIED = [
    "C", "CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "N#N", "[Xe]", "[He]", "[NH4+].[Cl-]",
    "C[N+](C)(C)C", "[O-][n+]1ccccc1", "[CH3]", "[CH2]", "[C]", "[O][O]", "[N]=O", "[H][H]",
    "[2H]C([2H])[2H]", "[H+]", "[Na+]", "[Ca+2]", "[Al+3]", "[Fe]", "[Fe+3]", "[Fe+8]",
    "[C-4]", "Cl[Pt](Cl)([NH3])[NH3]", "O=[Os](=O)(=O)=O", "FS(F)(F)(F)(F)F", "FP(F)(F)(F)F",
    "FI(F)(F)(F)F", "F[Si-2](F)(F)(F)(F)F", "[BH4-]", "[SiH4]", "C->[Fe]", "[Mn]", "[Og]", "*CC",
    "[U](F)(F)(F)(F)(F)(F)(F)(F)(F)F", "[U](F)(F)(F)(F)(F)(F)(F)(F)(F)(F)F", "C[Hg]C",
    "[Cu+2].[O-]S(=O)(=O)[O-]", "CCC1=[O+][Cu-3]2([O+]=C(CC)C1)[O+]=C(CC)CC(CC)=[O+]2",
    "O=C1c2ccccc2C(=O)N1", "C1=CC=CN1", "[se]1cccc1", "C[C@H](N)C(=O)O", "F/C=C/F", "C#C", "C=C=C",
    "CS(=O)(=O)N", "OP(O)(O)=O", "O=[N+]([O-])c1ccccc1", "C=[N+]=[N-]", "[PbH4]",
    "[Sn](C)(C)(C)C", "[GeH4]",
]  # fmt: skip


LONG = "C" * 10_000


HIV = Path(__file__).resolve().parents[2] / "shared" / "data" / "hiv" / "HIV.csv.gz"


def real_smiles() -> list[str]:
    """A few hundred HIV molecules (all the first ones, rich in metals, and some later ones)."""
    if not HIV.is_file():
        return []
    with gzip.open(HIV) as handle, rdBase.BlockLogs():
        smiles = pd.read_csv(handle)["smiles"]
        chosen = [*smiles[:150], *smiles[150::250]]
        return [text for text in chosen if Chem.MolFromSmiles(text) is not None]


def one_of(value: object, allowed: Sequence[object]) -> list[float]:
    """One-hot encoding that is all zeros for a value that is not listed."""
    return [float(value == choice) for choice in allowed]


def molecules_file(folder: Path, smiles: Sequence[str]) -> Path:
    path = folder / "molecules.parquet"
    write_parquet(path, pd.DataFrame({"smiles": list(smiles)}))
    return path


def naive_features(smiles: str) -> list[list[float]]:
    """The 74 canonical features of DGL-LifeSci, atom by atom."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    features = []
    for atom in molecule.GetAtoms():
        features.append(
            one_of(atom.GetSymbol(), ELEMENTS)
            + one_of(atom.GetDegree(), range(11))
            + one_of(atom.GetValence(Chem.ValenceType.IMPLICIT), range(7))
            + [float(atom.GetFormalCharge()), float(atom.GetNumRadicalElectrons())]
            + one_of(str(atom.GetHybridization()), HYBRIDIZATIONS)
            + [float(atom.GetIsAromatic())]
            + one_of(atom.GetTotalNumHs(), range(5))
        )
    return features
