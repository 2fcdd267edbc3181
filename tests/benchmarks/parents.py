"""Count test molecules whose parent compound is in training, and tell recall on them apart.

    python tests/benchmarks/parents.py [--mirror FOLDER] [--published results/published/baselines]

It prepares mesh_drug_class from a mirror or the network into a temporary folder,
cuts it by seven split seeds, and reads the predicted classes that are published for the first. The
parent is the largest fragment, uncharged, without stereochemistry, isotopes and atom maps.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from drugtail.config.catalogue import Catalogue
from drugtail.data.fetch import fetch_dataset
from drugtail.data.prepare import prepare_dataset
from drugtail.data.split import split_dataset
from drugtail.evaluation.predicted import MOLECULE, PREDICTIONS
from drugtail.runtime.parquet import read_parquet

PROJECT = Path(__file__).resolve().parents[2]
UNCHARGER = rdMolStandardize.Uncharger()
SPLITS = 7
SHOWN = ["cross_entropy", "balanced_softmax", "class_distance", "ride", "lightgbm", "random_forest"]


def parent(smiles: str, *, uncharged: bool) -> str:
    """Return the canonical SMILES of a molecule's parent compound."""
    fragments = Chem.GetMolFrags(Chem.MolFromSmiles(smiles), asMols=True)
    molecule = max(fragments, key=lambda fragment: fragment.GetNumHeavyAtoms())
    if uncharged:
        molecule = UNCHARGER.uncharge(molecule)
    for atom in molecule.GetAtoms():
        atom.SetIsotope(0)
        atom.SetAtomMapNum(0)
    return str(Chem.MolToSmiles(molecule, isomericSmiles=False))


def main() -> None:
    """Print the counts and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mirror", type=Path, default=None)
    parser.add_argument("--published", type=Path, default=PROJECT / "results/published/baselines")
    arguments = parser.parse_args()
    dataset = Catalogue(PROJECT / "config").dataset("mesh_drug_class")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch_dataset(dataset, folder / "raw", mirror=arguments.mirror)
        prepare_dataset(dataset, folder / "raw", folder)
        molecules = read_parquet(folder / "molecules.parquet")
        subsets = []
        for seed in range(SPLITS):
            split_dataset(
                folder / "molecules.parquet",
                "random",
                seed,
                folder / f"random-{seed}",
                grouping="none",
            )
            subsets.append(read_parquet(folder / f"random-{seed}.parquet")["subset"].to_numpy())
    for uncharged in (False, True):
        with rdBase.BlockLogs():
            found = [parent(text, uncharged=uncharged) for text in molecules["smiles"]]
        parents = pd.Series(found)
        known = [parents.isin(set(parents[one == "train"])).to_numpy() for one in subsets]
        shares = [100 * k[one == "test"].mean() for k, one in zip(known, subsets, strict=True)]
        print(
            f"{'uncharged' if uncharged else 'as charged'}: {len(molecules):,} rows, "
            f"{parents.nunique():,} parents; of test molecules of random-0 to random-{SPLITS - 1} "
            f"{', '.join(f'{share:.1f}' for share in shares)} % have their parent in training"
        )
    table = read_parquet(arguments.published / PREDICTIONS)
    seen = table["id"].map(dict(zip(molecules["id"], known[0], strict=True))).to_numpy(dtype=bool)
    print("\n| method | all | parent in training | new parent |\n| --- | --- | --- | --- |")
    for method in SHOWN:
        columns = [c for c in table.columns.difference(MOLECULE) if c.split("/")[1] == method]
        cells = []
        for rows in (np.ones(len(table), dtype=bool), seen, ~seen):
            scores = [balanced_accuracy(table[rows], column) for column in columns]
            cells.append(f"{100 * np.mean(scores):.1f}")
        print(f"| {method} | {' | '.join(cells)} |")


def balanced_accuracy(table: pd.DataFrame, column: str) -> float:
    """Mean recall over the classes that have molecules in a table of predicted classes."""
    hits = table[column] == table["label"]
    return float(hits.groupby(table["label"]).mean().mean())


if __name__ == "__main__":
    main()
