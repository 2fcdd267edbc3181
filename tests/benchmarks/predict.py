"""Measure `drugtail predict` on many molecules, with every kind of model on fingerprints.

    python tests/benchmarks/predict.py [MOLECULES [TABLE]]

MOLECULES is how many are asked about, by default 100,000; TABLE any table with a column of SMILES,
by default the molecules of the embedded demo written in other ways, so that each has to be read.
Models are trained on the demo. Seconds, and the share of the time that RDKit needs to parse the
same SMILES on one core, from one run: let nothing else run beside it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from rdkit import Chem, rdBase

from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue
from drugtail.config.training import Training
from drugtail.data.generate import generate_reactions
from drugtail.data.prepare import prepare_dataset
from drugtail.data.split import split_dataset
from drugtail.data.tables import read_table
from drugtail.features.featurize import featurize
from drugtail.predict.table import predict
from drugtail.training.block import Block, train_block

CATALOGUE = Catalogue(Path(__file__).resolve().parents[2] / "config")
METHODS = (
    ("random_forest", "morgan"), ("lightgbm", "morgan"), ("nearest_neighbours", "morgan"),
    ("smote_logistic", "morgan"), ("cross_entropy", "morgan_mlp"),
)  # fmt: skip


def main() -> None:
    """Print seconds of each model."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        molecules = _prepared(folder)
        if len(sys.argv) > 2:
            asked = read_table(Path(sys.argv[2]), ["smiles"])["smiles"].drop_duplicates()
            texts = asked.tolist()[:number]
        else:
            texts = _written_anew(pd.read_parquet(molecules)["smiles"].tolist(), number)
        table = folder / "asked.csv"
        pd.DataFrame({"smiles": texts}).to_csv(table, index=False)
        started = time.perf_counter()
        with rdBase.BlockLogs():
            for text in texts:
                Chem.MolFromSmiles(text)
        parsing = time.perf_counter() - started
        print(f"{len(texts):,} molecules; RDKit parses them in {parsing:.1f} s on one core")
        for method, encoder in METHODS:
            model = _trained(folder, molecules, method, encoder)
            started = time.perf_counter()
            predict(model, table, folder / "said.csv")
            took = time.perf_counter() - started
            print(f"{method} on {encoder}: {took:.1f} s, {took / parsing:.1f} times as long")


def _prepared(folder: Path) -> Path:
    register = CATALOGUE.dataset("demo")
    (folder / "raw").mkdir()
    generate_reactions().to_csv(folder / "raw/generated.csv", index=False)
    prepare_dataset(register, folder / "raw", folder / "data")
    molecules = folder / "data/molecules.parquet"
    split_dataset(molecules, "random", 0, folder / "random-0")
    featurize(molecules, "morgan", folder / "features")
    return molecules


def _written_anew(smiles: list[str], number: int) -> list[str]:
    """Return as many different texts, each molecule beginning at other atoms."""
    known = [Chem.MolFromSmiles(one) for one in smiles]
    texts: dict[str, None] = {}
    while len(texts) < number:
        for molecule in known:
            texts[Chem.MolToSmiles(molecule, doRandom=True)] = None
    return list(texts)[:number]


def _trained(folder: Path, molecules: Path, method: str, encoder: str) -> Path:
    block = Block(
        molecules, folder / "random-0.parquet", folder / "features", CATALOGUE.recipe(method),
        CATALOGUE.encoder(encoder), merged(Training(), {"epochs": 3}), range(1), threads=2,
    )  # fmt: skip
    train_block(block, folder / method)
    return folder / method / "model.pt"


if __name__ == "__main__":
    main()
