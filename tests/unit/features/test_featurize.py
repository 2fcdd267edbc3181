"""Features on disk."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem, rdBase
from rdkit.Chem import AllChem
from varied_molecules import LONG, VARIED, molecules_file, real_smiles

from drugtail.features.arrays import load_arrays
from drugtail.features.atoms import BONDS
from drugtail.features.bits import unpack_fingerprints
from drugtail.features.featurize import featurize, in_order
from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.reading import pack_atoms
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet_pieces, write_parquet


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
    with pytest.raises(DrugtailError, match="there are atom_pair, atoms, drfp, kmers, maccs"):
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


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [drop_last_bytes, empty, other_content, fewer_rows, flip_a_bit, Path.unlink]
)
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


def test_a_second_input_is_joined_to_the_molecule(tmp_path: Path) -> None:
    smiles, proteins = ["CCO", "c1ccccc1", "CC"], ["ACDEFGHIK", "ACDEFGHIKX", "AC"]
    path = tmp_path / "molecules.parquet"
    frame = pd.DataFrame({"smiles": smiles, "second": proteins})
    second = {"column": "sequence", "kind": "sequence", "featurizer": "kmers"}
    write_parquet(path, frame, {"second": second})
    featurize(path, "morgan", tmp_path / "f")
    bits = np.unpackbits(load_arrays(tmp_path / "f", "bits")["bits"], axis=1)
    assert bits.shape == (3, 4096)
    alone = FEATURIZERS["morgan"]().arrays(smiles)["bits"]
    np.testing.assert_array_equal(bits[:, :2048], np.unpackbits(alone, axis=1))
    # Runs of three: 7 of the first protein, one more in the second, none in the third.
    assert bits[:, 2048:].sum(axis=1).tolist() == [7, 8, 0]
    assert (bits[0, 2048:] <= bits[1, 2048:]).all()
    with pytest.raises(DrugtailError, match="only bits are joined to bits"):
        featurize(path, "atoms", tmp_path / "g")
    write_parquet(path, frame, {"second": {**second, "featurizer": "morgan"}})
    with pytest.raises(
        DrugtailError, match="'morgan' reads smiles, and is given sequence; choose kmers"
    ):
        featurize(path, "morgan", tmp_path / "g")
