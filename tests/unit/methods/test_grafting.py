"""Cutting molecules and joining their parts, checked with RDKit."""

from collections import Counter

import numpy as np
import pytest
import torch
from rdkit import Chem

from drugtail.features.atoms import BONDS, FIELDS
from drugtail.features.packed import GraphStore
from drugtail.features.reading import pack_atoms
from drugtail.methods.grafting import (
    Fragments,
    best_fragment,
    contrast,
    find_fragments,
    join,
    select,
)
from drugtail.training.second_stage_two_phase import nearest_to_mean, pairs_to_graft

SMILES = [
    "CCOC(=O)c1ccccc1N", "C1CC1", "c1ccc(cc1)-c1ccncc1", "CCC#N", "C", "CC(C)(C)OC(=O)NCC1CCNCC1",
    "[Na+].CC(=O)[O-]", "CC", "OCC1CC1", "CCCC",
]  # fmt: skip


def parts_by_rdkit(smiles: str, smallest: int) -> Counter[tuple[int, frozenset[int]]]:
    """Both sides of every single bond outside rings: atom at the cut, atoms of the side."""
    molecule = Chem.MolFromSmiles(smiles)
    found: Counter[tuple[int, frozenset[int]]] = Counter()
    for bond in molecule.GetBonds():
        if bond.IsInRing() or bond.GetBondType() != Chem.BondType.SINGLE:
            continue
        cut = Chem.RWMol(molecule)
        cut.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        pieces = [frozenset(piece) for piece in Chem.GetMolFrags(cut)]
        sides = [
            (end, next(p for p in pieces if end in p))
            for end in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        ]
        if min(len(side) for _, side in sides) >= smallest:
            found.update(sides)
    return found


def listed(parts: Fragments, molecule: int) -> Counter[tuple[int, frozenset[int]]]:
    found: Counter[tuple[int, frozenset[int]]] = Counter()
    for k in np.flatnonzero(parts.molecule == molecule):
        kept = parts.kept[parts.start[k] : parts.start[k + 1]]
        found[(int(parts.end[k]), frozenset(np.flatnonzero(kept).tolist()))] += 1
    return found


@pytest.mark.parametrize("smallest", [1, 2, 3])
def test_parts_are_both_sides_of_every_single_bond_outside_rings(smallest: int) -> None:
    parts = find_fragments(pack_atoms(SMILES), smallest)
    assert (np.diff(parts.molecule) >= 0).all()
    for number, smiles in enumerate(SMILES):
        assert listed(parts, number) == parts_by_rdkit(smiles, smallest), smiles


def test_nothing_that_can_be_cut_gives_no_parts() -> None:
    parts = find_fragments(pack_atoms(["C1CC1", "C"]))
    assert len(parts.molecule) == 0
    assert len(find_fragments(pack_atoms([])).molecule) == 0
    assert best_fragment(parts, np.zeros(0), 2).tolist() == [-1, -1]


def rebuilt(arrays: dict[str, np.ndarray], number: int, elements: list[str]) -> str:
    """Canonical SMILES of a molecule of packed arrays, kekulised bonds as they are stored."""
    atom = np.concatenate([[0], np.cumsum(arrays["atom_counts"])])
    bond = np.concatenate([[0], np.cumsum(arrays["bond_counts"])])
    molecule = Chem.RWMol()
    for symbol in elements[atom[number] : atom[number + 1]]:
        molecule.AddAtom(Chem.Atom(symbol))
    for (a, b), kind in zip(
        arrays["bonds"][bond[number] : bond[number + 1]].tolist(),
        arrays["bond_types"][bond[number] : bond[number + 1]],
        strict=True,
    ):
        molecule.AddBond(a, b, getattr(Chem.BondType, BONDS[kind]))
    for atom_ in molecule.GetAtoms():
        atom_.SetIsAromatic(any(b.GetIsAromatic() for b in atom_.GetBonds()))
    Chem.SanitizeMol(molecule)
    return Chem.MolToSmiles(molecule)


def test_a_grafted_molecule_is_the_one_chemistry_would_make_and_its_features_are_right() -> None:
    """Methyl benzoate's acyl part on the amine part of benzylamine: an amide."""
    smiles = ["CCOC(=O)c1ccccc1", "CCNCc1ccccc1"]
    arrays = pack_atoms(smiles)
    parts = find_fragments(arrays)
    sides = [listed(parts, 0), listed(parts, 1)]
    acyl = Chem.MolFromSmiles(smiles[0]).GetSubstructMatch(Chem.MolFromSmarts("C(=O)c1ccccc1"))
    amine = Chem.MolFromSmiles(smiles[1]).GetSubstructMatch(Chem.MolFromSmarts("[NH]Cc1ccccc1"))
    assert (acyl[0], frozenset(acyl)) in sides[0]
    first, second = (
        next(
            k
            for k in np.flatnonzero(parts.molecule == m)
            if parts.end[k] == piece[0]
            and set(np.flatnonzero(parts.kept[parts.start[k] : parts.start[k + 1]])) == set(piece)
        )
        for m, piece in ((0, acyl), (1, amine))
    )
    made = join(arrays, parts, np.array([first, first]), np.array([second, second]))
    wanted = pack_atoms([Chem.CanonSmiles("O=C(c1ccccc1)NCc1ccccc1")])
    assert made["atom_counts"].tolist() == [*wanted["atom_counts"]] * 2
    assert made["bond_counts"].tolist() == [*wanted["bond_counts"]] * 2
    # Atoms with their features are the same, in another order, as are the kinds of bonds. Only that
    # an amide's nitrogen counts as planar is a fact of the whole molecule.
    half = len(made["atoms"]) // 2
    others = [list(FIELDS).index(name) for name in FIELDS if name != "hybridization"]
    found, real = (a[:, others].tolist() for a in (made["atoms"][:half], wanted["atoms"]))
    assert Counter(map(tuple, found)) == Counter(map(tuple, real))
    assert Counter(made["bond_types"][: len(wanted["bond_types"])].tolist()) == Counter(
        wanted["bond_types"].tolist()
    )
    elements = {6: "C", 7: "N", 8: "O"}
    numbers = [Chem.MolFromSmiles(s) for s in smiles]
    symbols = [
        elements[molecule.GetAtomWithIdx(i).GetAtomicNum()]
        for molecule, piece in zip(numbers, (acyl, amine), strict=True)
        for i in sorted(piece)
    ]
    assert rebuilt(made, 1, symbols * 2) == Chem.CanonSmiles("O=C(c1ccccc1)NCc1ccccc1")


def test_grafted_molecules_can_be_stored_and_every_atom_keeps_its_degree() -> None:
    arrays = pack_atoms(SMILES)
    parts = find_fragments(arrays)
    generator = np.random.default_rng(0)
    first, second = generator.integers(len(parts.molecule), size=(2, 200))
    made = join(arrays, parts, first, second)
    store = GraphStore(made, torch.device("cpu"))
    assert len(store) == 200
    for k in range(200):
        batch = store.batch(torch.tensor([k]))
        kept = [
            parts.kept[parts.start[i] : parts.start[i + 1]].sum() for i in (first[k], second[k])
        ]
        assert len(batch.atom_type) == sum(kept)
        degree = batch.row_start.diff() - 1
        codes = store.type_codes[batch.atom_type]
        # Code 0 is a degree that is not listed.
        assert (codes[:, list(FIELDS).index("degree")].long() - 1 == degree).all()


def test_contrast_is_the_mean_inside_less_the_mean_outside() -> None:
    arrays = pack_atoms(SMILES)
    parts = find_fragments(arrays)
    activation = np.random.default_rng(1).normal(size=arrays["atom_counts"].sum())
    found = contrast(parts, arrays, activation)
    start = np.concatenate([[0], np.cumsum(arrays["atom_counts"])])
    for k, m in enumerate(parts.molecule):
        values = activation[start[m] : start[m + 1]]
        kept = parts.kept[parts.start[k] : parts.start[k + 1]]
        assert found[k] == pytest.approx(values[kept].mean() - values[~kept].mean())
    best = best_fragment(parts, found, len(SMILES))
    for m, k in enumerate(best):
        mine = found[parts.molecule == m]
        assert (k == -1 and len(mine) == 0) or found[k] == mine.max()


def test_selected_molecules_are_those_packed_by_themselves() -> None:
    chosen = np.array([5, 0, 0, 4])
    found, wanted = select(pack_atoms(SMILES), chosen), pack_atoms([SMILES[i] for i in chosen])
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_the_molecules_nearest_to_the_mean_are_kept_and_small_classes_whole() -> None:
    generator = np.random.default_rng(2)
    features, labels = generator.normal(size=(90, 4)), np.repeat([0, 1, 2], [60, 25, 5])
    kept = nearest_to_mean(features, labels, 10)
    assert np.bincount(labels[kept]).tolist() == [10, 10, 5]
    for c in (0, 1):
        distance = np.linalg.norm(features - features[labels == c].mean(0), axis=1)
        mine = kept[labels[kept] == c]
        others = np.setdiff1d(np.flatnonzero(labels == c), mine)
        assert distance[mine].max() <= distance[others].min()


def test_pairs_fill_each_class_up_with_a_molecule_of_it_and_one_of_another() -> None:
    labels = np.repeat([0, 1, 2], [60, 25, 5])
    kept = np.concatenate([np.arange(10), np.arange(60, 70), np.arange(85, 90)])
    source, background = pairs_to_graft(labels, kept, 10, np.random.default_rng(0))
    assert labels[source].tolist() == [2] * 5
    assert set(labels[background]) <= {0, 1}
    assert set(source) <= set(kept)
    assert set(background) <= set(kept)
