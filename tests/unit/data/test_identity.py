"""One molecule under all its spellings, and a reason for every text that is none."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem.MolStandardize import rdMolStandardize
from varied_molecules import VARIED

from drugtail.config.dataset import Molecules
from drugtail.data.identity import NOTES, identify, identify_all

DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "C[C@@H](N)C(=O)O",
    "CC(C)NCC(O)COc1cccc2ccccc12", "F/C=C/c1ccccc1", "C1CC[C@H]2CCCC[C@@H]2C1", "OCC1CCCCN1",
    "C[N+](C)(C)CCO", "O=S(=O)(O)c1ccccc1", "c1ccc2[nH]ccc2c1",
]  # fmt: skip


def mapped(smiles: str) -> str:
    molecule = Chem.MolFromSmiles(smiles)
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(atom.GetIdx() + 1)
    return Chem.MolToSmiles(molecule)


def shuffled(smiles: str) -> str:
    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), doRandom=True)


def labelled(smiles: str) -> str:
    molecule = Chem.MolFromSmiles(smiles)
    molecule.GetAtomWithIdx(0).SetIsotope(13)
    return Chem.MolToSmiles(molecule)


def extended(smiles: str) -> str:
    return f"{smiles} |$_AV:{';' * (Chem.MolFromSmiles(smiles).GetNumAtoms() - 1)}$|"


@pytest.mark.parametrize("smiles", DRUGS)
@pytest.mark.parametrize("spell", [mapped, shuffled, labelled, extended, "  {}\t".format])
def test_a_molecule_is_the_same_under_all_its_spellings(
    smiles: str, spell: Callable[[str], str]
) -> None:
    wanted, found = identify(smiles), identify(spell(smiles))
    assert found.reason == ""
    assert found[:3] == wanted[:3]
    assert wanted.smiles == Chem.CanonSmiles(smiles)


def test_deuterium_is_hydrogen() -> None:
    assert identify("[2H]C([2H])([2H])O").smiles == "CO"
    assert identify("[2H]C([2H])([2H])O").notes == "isotope"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("CC(=O)O", "CC(=O)[O-].[Na+]"),
        ("CCN", "CC[NH3+].[Cl-]"),
        ("CCN", "CCN.Cl"),
        ("C[C@@H](N)C(=O)O", "C[C@H]([NH3+])C(=O)[O-]"),
        ("F/C=C/F", "F/C=C\\F"),
        ("CCN", "[13CH3]CN"),
        ("CN1CCCC1c1cccnc1", "CN1CCC[C@H]1c1cccnc1.OC(=O)CC(=O)O"),
    ],
)
def test_salt_charge_stereo_and_isotopes_share_a_parent(one: str, two: str) -> None:
    first, second = identify(one), identify(two)
    assert first.parent == second.parent
    assert first.scaffold == second.scaffold


@pytest.mark.parametrize(
    ("one", "two"), [("CCN", "CCCN"), ("Oc1ccccc1", "Oc1ccccn1"), ("CC(=O)C", "CC(O)C")]
)
def test_other_compounds_have_other_parents(one: str, two: str) -> None:
    assert identify(one).parent != identify(two).parent


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*VARIED, *DRUGS]), min_size=1, max_size=3))
def test_parents_are_those_of_rdkits_own_steps(fragments: list[str]) -> None:
    found = identify(".".join(fragments))
    if found.reason:
        return
    molecule = Chem.MolFromSmiles(found.smiles)
    pieces = Chem.GetMolFrags(molecule, asMols=True)
    most = max(piece.GetNumHeavyAtoms() for piece in pieces)
    candidates = set()
    for fragment in pieces:
        if fragment.GetNumHeavyAtoms() == most:
            Chem.RemoveStereochemistry(fragment)
            neutral = rdMolStandardize.Uncharger().uncharge(fragment)
            again = Chem.MolFromSmiles(Chem.MolToSmiles(neutral))
            candidates.add(Chem.MolToSmiles(again) if again else found.smiles)
    assert found.parent in candidates
    # A parent is its own parent.
    assert identify(found.parent).parent == found.parent


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty SMILES"),
        (" \t", "empty SMILES"),
        ("NA", "missing SMILES: NA"),
        ("C see supplementary table", "text after the SMILES: 'see supplementary table'"),
        ("CCO\tethanol", "text after the SMILES: 'ethanol'"),
        ("CCO\nCCN", "text after the SMILES: 'CCN'"),
        ("CCO | CCN", "text after the SMILES: '| CCN'"),
        ("CCO |", "text after the SMILES: '|'"),
        ("C(C", "unparsable SMILES"),
        ("aspirin", "unparsable SMILES"),
        (
            "BSYNRYMUTXBXSQ-UHFFFAOYSA-N",
            "unparsable SMILES: an InChIKey, from which no structure can be read",
        ),
        ("CCO>>CC=O", "unparsable SMILES: a reaction, which `columns.reaction` reads"),
        ("CN(C)(C)(C)C", "unparsable SMILES"),
        ("[Xx]CC", "unparsable SMILES"),
        ("InChI=1S/nonsense", "unparsable InChI"),
        ("InChI=1S/CH4/h1H4 methane", "text after the InChI: 'methane'"),
        ("*", "wildcards only"),
        ("*.*", "wildcards only"),
        ("C" * 1001, "too large: 1001 atoms, at most 1000"),
    ],
)
def test_what_is_no_molecule_has_a_reason(text: str, reason: str) -> None:
    found = identify(text)
    assert found.reason == reason
    assert found.smiles == found.parent == found.scaffold == ""


def test_long_text_after_a_smiles_is_quoted_in_part() -> None:
    reason = identify("C " + "word " * 50).reason
    assert len(reason) < 80
    assert reason.endswith("…'")


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("CCO", ""),
        ("[CH3:1][OH:2]", "map"),
        ("[13CH4]", "isotope"),
        ("[13CH3:1]O", "map isotope"),
        ("InChI=1S/CH4/h1H4", "inchi"),
        ("CC* |$;;_R1$|", "extension wildcard"),
        ("*CC", "wildcard"),
        ("[U]", "element"),
        ("C[Te]C", "element"),
        ("CC |THB:0:1:2.3|", "extension"),
    ],
)
def test_what_was_done_or_is_odd_is_noted(text: str, notes: str) -> None:
    found = identify(text)
    assert found.reason == ""
    assert found.notes == notes
    assert set(notes.split()) <= set(NOTES)


def test_wildcards_and_other_elements_are_rejected_where_declared() -> None:
    settings = Molecules(wildcards="reject", other_elements="reject")
    assert identify("*CC", settings).reason == "wildcard atom"
    assert identify("C[Te]C", settings).reason == "element without atom features: Te"
    assert identify("C[Se]C", settings).reason == ""


@pytest.mark.parametrize(
    ("standardize", "smiles"),
    [
        ("as_published", "C[C@H]([NH3+])C(=O)[O-].O"),
        ("largest_fragment", "C[C@H]([NH3+])C(=O)[O-]"),
        ("uncharged", "C[C@H](N)C(=O)O.O"),
        ("parent", "CC(N)C(=O)O"),
    ],
)
def test_standardization_is_what_is_declared(standardize: str, smiles: str) -> None:
    found = identify("C[C@H]([NH3+])C(=O)[O-].O", Molecules(standardize=standardize))
    assert found.smiles == Chem.CanonSmiles(smiles)
    assert found.parent == "CC(N)C(=O)O"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_molecule_or_has_a_reason(text: str) -> None:
    found = identify(text)
    assert (found.reason == "") == (found.smiles != "")
    if found.smiles:
        assert Chem.MolFromSmiles(found.smiles) is not None


def test_rows_stay_in_order_whatever_the_workers_and_repeats() -> None:
    texts = [*DRUGS, "C(", ""] * 150
    random.Random(0).shuffle(texts)
    one, two = (identify_all(texts, workers=workers) for workers in (1, 2))
    assert one.equals(two)
    assert one["smiles"].tolist() == [identify(text).smiles for text in texts]
