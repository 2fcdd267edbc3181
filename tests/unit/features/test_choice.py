"""Featurizers by name: RDKit's, DeepChem's, and several joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem, Descriptors, rdMolDescriptors

from drugtail.features.arrays import load_arrays
from drugtail.features.choice import class_of, features_of, make_featurizer, parts_of
from drugtail.features.featurize import featurize
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import write_parquet

SMILES = ["CCO", "c1ccccc1C(=O)O", "CC(N)C(=O)NC1CC1", "C" * 300, "[Na+].[Cl-]"]
MOLECULES = [Chem.MolFromSmiles(one) for one in SMILES]


def bits(name: str) -> np.ndarray:
    return np.unpackbits(make_featurizer(name).arrays(SMILES)["bits"], axis=1)


def values(name: str) -> np.ndarray:
    return make_featurizer(name).arrays(SMILES)["values"]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("morgan", lambda m: AllChem.GetMorganFingerprintAsBitVect(m, 2, 2048)),
        (
            "morgan_feature",
            lambda m: AllChem.GetMorganFingerprintAsBitVect(m, 2, 2048, useFeatures=True),
        ),
        ("maccs", rdMolDescriptors.GetMACCSKeysFingerprint),
    ],
)
def test_bits_are_those_of_rdkits_older_functions(name: str, theirs) -> None:
    wanted = np.array([list(theirs(molecule)) for molecule in MOLECULES])
    found = bits(name)
    np.testing.assert_array_equal(found[:, : wanted.shape[1]], wanted)
    assert not found[:, wanted.shape[1] :].any()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("atom_pair", rdMolDescriptors.GetAtomPairFingerprint),
        ("topological_torsion", rdMolDescriptors.GetTopologicalTorsionFingerprint),
    ],
)
def test_pairs_and_torsions_are_there_where_rdkit_counts_any(name: str, theirs) -> None:
    counted = [bool(theirs(molecule).GetNonzeroElements()) for molecule in MOLECULES]
    assert bits(name).any(axis=1).tolist() == counted


def test_counts_are_of_the_bits_that_are_set_and_end_at_255() -> None:
    counts = values("morgan_count")
    assert counts.dtype == np.uint8
    np.testing.assert_array_equal(counts > 0, bits("morgan") == 1)
    # 298 CH2 groups, and oxygen once.
    assert counts.max() == 255
    assert counts[0].sum() == sum(
        AllChem.GetMorganFingerprint(MOLECULES[0], 2).GetNonzeroElements().values()
    )


def test_descriptors_are_rdkits_and_what_is_undefined_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = values("rdkit_descriptors")
    names = [name for name, _ in Descriptors.descList if name != "Ipc"]
    assert found.shape == (len(SMILES), len(names))
    assert np.isfinite(found).all()
    for column, wanted in (("MolWt", Descriptors.MolWt), ("TPSA", Descriptors.TPSA)):
        np.testing.assert_allclose(
            found[:, names.index(column)], [wanted(one) for one in MOLECULES], rtol=1e-5
        )
    said = capsys.readouterr().err
    assert "1 of 5 molecules have descriptors that RDKit cannot compute" in said


def test_joined_bits_are_bits_and_others_are_numbers() -> None:
    np.testing.assert_array_equal(
        bits("morgan+maccs"), np.concatenate([bits("morgan"), bits("maccs")], axis=1)
    )
    mixed = values("maccs+rdkit_descriptors")
    np.testing.assert_array_equal(mixed[:, :168], bits("maccs"))
    np.testing.assert_array_equal(mixed[:, 168:], values("rdkit_descriptors"))
    both = make_featurizer("maccs+atoms")
    assert both.form == "graph_and_vector"
    found = both.arrays(SMILES)
    np.testing.assert_array_equal(found["values"], bits("maccs"))
    np.testing.assert_array_equal(found["atoms"], make_featurizer("atoms").arrays(SMILES)["atoms"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("morgan+morgan", "joins one with itself; name it once"),
        ("morgan+drfp", "joins what reads reaction and smiles"),
        ("morgan+", "featurizer '': there is none"),
        ("morgan+nonsense", "featurizer 'nonsense': there is none"),
    ],
)
def test_what_cannot_be_joined_is_refused(name: str, says: str) -> None:
    with pytest.raises(DrugtailError, match=says):
        make_featurizer(name)


def test_joined_features_stand_on_disk_as_one(tmp_path: Path) -> None:
    write_parquet(tmp_path / "molecules.parquet", pd.DataFrame({"smiles": SMILES}))
    featurize(tmp_path / "molecules.parquet", "atoms+morgan_count", tmp_path / "f")
    assert read_json(tmp_path / "f/features.json")["form"] == "graph_and_vector"
    arrays = load_arrays(tmp_path / "f", "graph_and_vector")
    np.testing.assert_array_equal(arrays["values"], values("morgan_count"))
    assert arrays["values"].dtype == np.uint8
    assert read_json(tmp_path / "f/features.json")["molecules"] == len(SMILES)


def test_deepchems_featurizers_are_found_by_name() -> None:
    assert features_of("deepchem:X", [class_of("deepchem:X")]) == ("vector", "smiles")
    np.testing.assert_array_equal(values("deepchem:MACCSKeysFingerprint"), bits("maccs")[:, :167])
    assert parts_of("atoms+deepchem:CircularFingerprint") == [
        "atoms",
        "deepchem:CircularFingerprint",
    ]
    with pytest.raises(DrugtailError, match=r"no featurizer 'CircularFingerprnt' .did"):
        values("deepchem:CircularFingerprnt")
    with pytest.raises(DrugtailError, match="gives no row of numbers for each molecule"):
        values("deepchem:MolGraphConvFeaturizer")
