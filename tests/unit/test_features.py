"""Atom codes, packed graphs and fingerprints against computations of their own."""

import gzip
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem
from reference import edge_index
from torch_geometric.data import Batch as GeometricBatch
from torch_geometric.data import Data
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from drugtail.features.arrays import load_arrays
from drugtail.features.atoms import FEATURES, FIELDS, expand, feature_matrix
from drugtail.features.bits import unpack_fingerprints
from drugtail.features.featurize import featurize, in_order
from drugtail.features.packed import BONDS, GraphStore
from drugtail.features.reading import pack_atoms
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_parquet_pieces, write_parquet

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
HIV = Path(__file__).resolve().parents[3] / "shared" / "data" / "hiv" / "HIV.csv.gz"


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


def molecules_file(folder: Path, smiles: Sequence[str]) -> Path:
    path = folder / "molecules.parquet"
    write_parquet(path, pd.DataFrame({"smiles": list(smiles)}))
    return path


# ----------------------------------------------------------------------------- atom codes


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


def test_bonds_and_their_types_are_those_of_rdkit_sorted_by_their_ends() -> None:
    odd = ["C~C", "CC~CC", "C$C", "N->[Cu]", "[Cu]<-N", "[NH3]->[Pt](<-[NH3])(Cl)Cl", "[Xe]", LONG]
    smiles = [*VARIED, *odd, *real_smiles()]
    packed = pack_atoms(smiles)
    ends, types = packed["bonds"].tolist(), packed["bond_types"].tolist()
    found = [(*pair, BONDS[code]) for pair, code in zip(ends, types, strict=True)]
    start = 0
    for text, count in zip(smiles, packed["bond_counts"].tolist(), strict=True):
        with rdBase.BlockLogs():
            bonds = list(Chem.MolFromSmiles(text).GetBonds())
        wanted = sorted(
            (
                *sorted([bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()]),
                kind if (kind := str(bond.GetBondType())) in BONDS else "OTHER",
            )
            for bond in bonds
        )
        assert found[start : start + count] == wanted
        start += count
    assert start == len(found)


def test_text_that_is_not_a_molecule_is_named_in_the_error() -> None:
    with pytest.raises(DrugtailError, match=r"C1CC.*not a molecule"):
        pack_atoms(["CC", "C1CC"])


# -------------------------------------------------------------------------------- on disk


@pytest.mark.parametrize("featurizer", ["atoms", "morgan"])
def test_two_workers_write_the_same_bytes_as_one(tmp_path: Path, featurizer: str) -> None:
    # More than two chunks of 1,000, all different, so that a chunk out of order would show.
    smiles = ["C" * (1 + i % 40) + "O" * (i // 40 % 3) + "N" * (i // 120) for i in range(2300)]
    path = molecules_file(tmp_path, smiles)
    for workers in (1, 2):
        featurize(path, featurizer, tmp_path / f"{workers}", workers=workers)
    names = sorted(file.name for file in (tmp_path / "1").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "2").iterdir())
    assert "features.json" in names
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


@pytest.mark.parametrize("workers", [1, 3])
def test_pieces_are_drawn_only_a_little_ahead_of_what_is_used(workers: int) -> None:
    drawn = 0

    def pieces() -> Iterator[int]:
        nonlocal drawn
        for number in range(50):
            drawn += 1
            yield number

    for used, result in enumerate(in_order(abs, pieces(), workers), start=1):
        assert result == used - 1, "in order"
        assert drawn <= used + 2 * workers
    assert used == drawn == 50


def test_molecules_are_read_in_pieces_whose_size_does_not_matter(tmp_path: Path) -> None:
    path = molecules_file(tmp_path, VARIED)
    found = [p["smiles"].tolist() for p in read_parquet_pieces(path, ["smiles"], 3)]
    assert [len(piece) for piece in found[:-1]] == [3] * (len(found) - 1)
    assert [smiles for piece in found for smiles in piece] == VARIED


def test_arrays_on_disk_are_those_of_the_molecules_in_file_order(tmp_path: Path) -> None:
    smiles = VARIED * 30
    featurize(molecules_file(tmp_path, smiles), "atoms", tmp_path / "f")
    arrays, expected = load_arrays(tmp_path / "f"), pack_atoms(smiles)
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_unknown_featurizer_is_refused_with_the_choices(tmp_path: Path) -> None:
    path = molecules_file(tmp_path, ["C"])
    with pytest.raises(DrugtailError, match="there are atoms, morgan"):
        featurize(path, "atom", tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_a_failing_molecule_leaves_no_half_written_folder(tmp_path: Path) -> None:
    path = molecules_file(tmp_path, ["C"] * 1500 + ["not a molecule"])
    with pytest.raises(DrugtailError, match="not a molecule"):
        featurize(path, "atoms", tmp_path / "f")
    assert [file.name for file in tmp_path.iterdir()] == ["molecules.parquet"]


@pytest.mark.parametrize("featurizer", ["atoms", "morgan"])
def test_a_file_without_molecules_gives_a_clear_error(tmp_path: Path, featurizer: str) -> None:
    with pytest.raises(DrugtailError, match=r"molecules\.parquet"):
        featurize(molecules_file(tmp_path, []), featurizer, tmp_path / "f")


def test_morgan_bits_equal_those_of_rdkits_older_interface(tmp_path: Path) -> None:
    smiles = [*VARIED, *real_smiles()]
    featurize(molecules_file(tmp_path, smiles), "morgan", tmp_path / "f")
    rows = np.array([len(smiles) - 1, *range(len(smiles)), 3, 3])
    bits = unpack_fingerprints(load_arrays(tmp_path / "f", "bits")["bits"][rows])
    assert bits.shape == (len(rows), 2048)
    assert bits.dtype == np.float32
    with rdBase.BlockLogs():
        for row, computed in zip(rows, bits, strict=True):
            molecule = Chem.MolFromSmiles(smiles[row])
            older = AllChem.GetMorganFingerprintAsBitVect(molecule, 2, nBits=2048)
            assert np.flatnonzero(computed).tolist() == list(older.GetOnBits())


def drop_last_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other_content(path: Path) -> None:
    path.write_text("<html>not an array</html>")


def fewer_rows(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


@pytest.mark.parametrize("damage", [drop_last_bytes, empty, other_content, fewer_rows, Path.unlink])
@pytest.mark.parametrize("name", ["atoms", "bonds", "atom_counts"])
def test_a_damaged_array_is_named_in_a_clear_error(
    tmp_path: Path, name: str, damage: Callable[[Path], Any]
) -> None:
    featurize(molecules_file(tmp_path, VARIED), "atoms", tmp_path / "f")
    damage(tmp_path / "f" / f"{name}.npy")
    with pytest.raises(DrugtailError, match=rf"{name}\.npy.*featurize again"):
        load_arrays(tmp_path / "f")


def test_absent_features_name_the_stage_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"features\.json.*run the stage"):
        load_arrays(tmp_path / "nowhere")


def test_features_json_tells_features_of_other_content_apart(tmp_path: Path) -> None:
    """It stands for the arrays among the inputs of training."""
    for name, smiles in (("one", ["CCO", "CCN"]), ("two", ["CCO", "CCS"])):
        featurize(molecules_file(tmp_path, smiles), "atoms", tmp_path / name)
    one, two = (json.loads((tmp_path / n / "features.json").read_text()) for n in ("one", "two"))
    assert one["arrays"] == two["arrays"]
    assert {name for name in one["sha256"] if one["sha256"][name] != two["sha256"][name]} == {
        "atoms"
    }


@pytest.mark.parametrize("content", [{}, {"arrays": {}}, {"arrays": {"atoms": [1, 8]}}, []])
def test_features_json_of_another_form_gives_a_clear_error(tmp_path: Path, content: Any) -> None:
    featurize(molecules_file(tmp_path, VARIED), "atoms", tmp_path / "f")
    (tmp_path / "f" / "features.json").write_text(json.dumps(content))
    with pytest.raises(DrugtailError, match="featurize again"):
        load_arrays(tmp_path / "f")


# -------------------------------------------------------------------------- packed batches

POOL = [text for text in VARIED if "." not in text] + ["[Na+].[Cl-]", "CCO.CC", LONG[:300]]


@pytest.fixture(scope="module")
def store() -> GraphStore:
    return GraphStore(pack_atoms(POOL), torch.device("cpu"))


def geometric(smiles: str) -> Data:
    """One molecule as PyTorch Geometric would hold it, from RDKit alone."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()]
    edges = [pair for a, b in bonds for pair in ((a, b), (b, a))]
    edge_index = torch.tensor(edges, dtype=torch.int64).view(-1, 2).T
    return Data(x=torch.tensor(naive_features(smiles)).view(-1, 74), edge_index=edge_index)


def edges_of(edge_index: torch.Tensor) -> list[tuple[int, int]]:
    return sorted((a, b) for a, b in edge_index.T.tolist())


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=12))
def test_batches_equal_those_of_pytorch_geometric(store: GraphStore, rows: list[int]) -> None:
    batch = store.batch(torch.tensor(rows))
    expected = GeometricBatch.from_data_list([geometric(POOL[row]) for row in rows])
    assert batch.molecules == len(rows)
    assert torch.equal(batch.molecule, expected.batch)
    assert torch.equal(store.type_features[batch.atom_type], expected.x)
    assert edges_of(edge_index(batch)) == edges_of(expected.edge_index)

    # The normalised adjacency matrix, entry by entry.
    index, weight = gcn_norm(expected.edge_index, num_nodes=len(expected.x))
    size = (len(expected.x),) * 2
    wanted = torch.zeros(size).index_put((index[1], index[0]), weight, accumulate=True)
    found = torch.zeros(size).index_put((batch.row, batch.column), batch.norm, accumulate=True)
    assert len(batch.norm) == index.shape[1]
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=12))
def test_reverse_leads_to_the_opposite_entry_and_back(store: GraphStore, rows: list[int]) -> None:
    batch = store.batch(torch.tensor(rows))
    assert torch.equal(batch.reverse[batch.reverse], torch.arange(len(batch.reverse)))
    assert torch.equal(batch.row[batch.reverse], batch.column)
    assert torch.equal(batch.column[batch.reverse], batch.row)


def test_log_degree_is_that_of_the_target_and_missing_only_at_loops(store: GraphStore) -> None:
    batch = store.batch(torch.arange(len(POOL)))
    degree = torch.bincount(edge_index(batch)[1], minlength=len(batch.atom_type))
    for row, column, value in zip(
        batch.row.tolist(), batch.column.tolist(), batch.log_degree.tolist(), strict=True
    ):
        if row == column:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(math.log(degree[row]), abs=1e-6)


def test_a_data_set_without_any_bond_can_be_stored_and_batched(tmp_path: Path) -> None:
    featurize(molecules_file(tmp_path, ["[Xe]", "[Na+].[Cl-]", "C"]), "atoms", tmp_path / "f")
    store = GraphStore(load_arrays(tmp_path / "f"), torch.device("cpu"))
    batch = store.batch(torch.tensor([1, 0, 1]))
    assert batch.molecule.tolist() == [0, 0, 1, 2, 2]
    assert edge_index(batch).shape == (2, 0)
    assert batch.column.tolist() == [0, 1, 2, 3, 4], "every atom keeps its loop"
    assert batch.norm.tolist() == [1.0] * 5
    expected = naive_features("[Na+].[Cl-]") + naive_features("[Xe]")
    assert store.type_features[batch.atom_type].tolist()[:3] == expected


def test_store_counts_molecules_and_holds_each_kind_of_atom_once(store: GraphStore) -> None:
    assert len(store) == len(POOL)
    assert len(torch.unique(store.type_codes, dim=0)) == len(store.type_codes)
