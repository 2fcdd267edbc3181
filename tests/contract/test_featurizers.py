"""Every featurizer keeps the contract of featurizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from drugtail.config.encoder import FORMS
from drugtail.features.arrays import ARRAYS, load_arrays
from drugtail.features.featurize import featurize
from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.stores import STORES
from drugtail.runtime.parquet import write_parquet

SMILES = [
    "CCO",
    "C",
    "[Na+].[Cl-]",
    "c1ccccc1",
    "CC(=O)Oc1ccccc1C(=O)O",
    "C#N",
    "[2H]C",
    "CO->[Fe]",
]


SEQUENCES = ["ACDE", "A", "GGGGGG", "MKTAYIAKQR", "MKTAYIAKQRQISFVKSHFSRQ", "XXBZ", "WYV", "KLM"]
REACTIONS = ["CCO>>CC=O", "C>>C", "CC(=O)O.CO>>COC(C)=O", "CCBr.[OH-]>>CCO", "C#N.CBr>>CC#N",
             "c1ccccc1>>O=[N+]([O-])c1ccccc1", "CC=O>>CCO", "CC>>*C"]  # fmt: skip
TEXTS = {"smiles": SMILES, "sequence": SEQUENCES, "reaction": REACTIONS}
OF_MOLECULES = [name for name in FEATURIZERS.names() if FEATURIZERS[name].reads == "smiles"]


@pytest.fixture(params=FEATURIZERS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def texts(name: str) -> list[str]:
    """Texts of the kind that a featurizer reads."""
    return TEXTS[FEATURIZERS[name].reads]


def of(name: str, smiles: list[str]) -> dict[str, np.ndarray]:
    return FEATURIZERS[name]().arrays(smiles)


def test_it_gives_the_arrays_of_its_form(name: str, texts: list[str]) -> None:
    form = FEATURIZERS[name].form
    assert form in FORMS
    found = of(name, texts)
    assert set(found) == set(ARRAYS[form])
    assert all(np.isfinite(array).all() for array in found.values())


def test_a_molecule_is_featurized_alike_in_any_company(name: str, texts: list[str]) -> None:
    import torch

    form = FEATURIZERS[name].form
    together = STORES[form](of(name, texts), torch.device("cpu"))
    for i, one in enumerate(texts):
        alone = STORES[form](of(name, [one]), torch.device("cpu"))
        pairs = zip(
            alone.batch(torch.tensor([[0]])).tensors(),
            together.batch(torch.tensor([[i]])).tensors(),
            strict=True,
        )
        # Kinds of atoms are numbered in each data set anew.
        for first, second in list(pairs)[form == "graph" :]:
            torch.testing.assert_close(first, second, equal_nan=True)


@pytest.mark.parametrize("name", [n for n in FEATURIZERS.names() if n != "kmers"])
def test_features_on_disk_are_the_same_with_any_number_of_processes(
    name: str, texts: list[str], tmp_path: Path
) -> None:
    smiles = [texts[i % len(texts)] for i in range(2500)]
    header = {"reads": FEATURIZERS[name].reads}
    write_parquet(tmp_path / "molecules.parquet", pd.DataFrame({"smiles": smiles}), header)
    for workers in (1, 2):
        featurize(tmp_path / "molecules.parquet", name, tmp_path / f"{workers}", workers=workers)
    first, second = (json.loads((tmp_path / f"{w}/features.json").read_text()) for w in (1, 2))
    assert first == second
    assert first["featurizer"] == name
    arrays: Any = load_arrays(tmp_path / "1", first["form"])
    wanted = of(name, smiles)
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, wanted[key])


@pytest.mark.parametrize("name", OF_MOLECULES)
def test_another_numbering_of_atoms_gives_the_same_fingerprint_or_vector(name: str) -> None:
    if FEATURIZERS[name].form == "graph":
        # Its atoms stand in another order; encoders make nothing of it, as their contract says.
        other = [Chem.MolToSmiles(Chem.MolFromSmiles(one), doRandom=True) for one in SMILES]
        counts = [of(name, some)["atom_counts"].tolist() for some in (SMILES, other)]
        assert counts[0] == counts[1]
        return
    other = [Chem.MolToSmiles(Chem.MolFromSmiles(one), doRandom=True) for one in SMILES]
    for key, array in of(name, SMILES).items():
        np.testing.assert_allclose(array, of(name, other)[key], rtol=1e-5)
