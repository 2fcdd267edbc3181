"""Codes of atoms."""

import numpy as np
import pytest
from varied_molecules import LONG, VARIED, naive_features, real_smiles

from drugtail.features.atoms import FEATURES, FIELDS, expand, feature_matrix
from drugtail.features.reading import pack_atoms


@pytest.mark.parametrize("smiles", VARIED)
def test_expanded_codes_equal_the_canonical_features_atom_by_atom(smiles: str) -> None:
    np.testing.assert_array_equal(expand(pack_atoms([smiles])["atoms"]), naive_features(smiles))


@pytest.mark.parametrize(("smiles", "electrons"), [("[Na+2]", 9), ("[Mg+3]", 9), ("[Al+8]", 13)])
def test_any_number_of_radical_electrons_is_kept_as_a_number(smiles: str, electrons: int) -> None:
    expected = naive_features(smiles)
    assert expected[0][62] == electrons
    np.testing.assert_array_equal(expand(pack_atoms([smiles])["atoms"]), expected)


@pytest.mark.parametrize("smiles", ["[Fe+9]", "[U+15]", "[C-9]", "[Fe+100]", "[Fe-100]"])
def test_any_charge_rdkit_accepts_is_kept_as_a_number(smiles: str) -> None:
    np.testing.assert_array_equal(expand(pack_atoms([smiles])["atoms"]), naive_features(smiles))


def test_expanded_codes_equal_the_canonical_features_for_a_molecule_of_10000_characters() -> None:
    packed = pack_atoms([LONG])
    assert packed["atom_counts"].tolist() == [10_000]
    np.testing.assert_array_equal(expand(packed["atoms"]), naive_features(LONG))


def test_expanded_codes_equal_the_canonical_features_on_a_whole_list_of_molecules() -> None:
    smiles = [*VARIED, *real_smiles()]
    packed = pack_atoms(smiles)
    expected = [features for text in smiles for features in naive_features(text)]
    np.testing.assert_array_equal(expand(packed["atoms"]), np.array(expected))
    atoms = [len(naive_features(text)) for text in smiles]
    assert packed["atom_counts"].tolist() == atoms


def test_feature_matrix_has_one_row_per_code_and_74_columns() -> None:
    assert feature_matrix().shape == (sum(FIELDS.values()), FEATURES)
    assert max(FIELDS.values()) <= 256, "a code must fit one byte"


def test_unknown_element_and_hybridisation_give_zeros_not_another_category() -> None:
    xenon = expand(pack_atoms(["[Xe]"])["atoms"])[0]
    assert xenon[:43].tolist() == [0.0] * 43
    uranium = expand(pack_atoms(["[U](F)(F)(F)(F)(F)(F)(F)(F)(F)(F)F"])["atoms"])[0]
    assert uranium[43:54].tolist() == [0.0] * 11, "degree 11 is not listed"
