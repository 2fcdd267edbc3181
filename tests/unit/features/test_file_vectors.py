"""Vectors of molecules from a file: any common format, by SMILES or id, faults named."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drugtail.config.dataset import Molecules
from drugtail.features.choice import class_of, make_featurizer
from drugtail.features.file_vectors import FileVectors, load_vectors
from drugtail.runtime.errors import DrugtailError

SMILES = ["CCO", "CC(N)=O", "c1ccccc1O"]
VALUES = np.array([[1.5, -2.0], [0.25, 3.0], [7.0, 1e-3]], dtype=np.float32)
IDS = ["007", "a", "b"]


def table(key: str = "smiles", keys: list[str] = SMILES) -> pd.DataFrame:
    return pd.DataFrame(VALUES, columns=["x", "y"]).assign(**{key: keys})


def written(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".npz":
        key = next(name for name in frame if name in ("smiles", "id"))
        vectors = frame.drop(columns=key).to_numpy()
        np.savez(path, vectors=vectors, **{key: frame[key].to_numpy(str)})
    else:
        text = frame.to_csv(index=False, sep="\t" if ".tsv" in path.suffixes else ",")
        content = text.encode("utf-8-sig")
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def numbers(featurizer: Any, smiles: list[str] = SMILES) -> np.ndarray:
    found = featurizer.arrays(smiles)["values"]
    assert found.dtype == np.float32
    return found


@pytest.mark.parametrize("name", ["v.csv", "v.tsv", "v.csv.gz", "v.parquet", "v.npz"])
@pytest.mark.parametrize("key", ["smiles", "id"])
def test_every_format_gives_the_same_by_smiles_and_by_id(
    name: str, key: str, tmp_path: Path
) -> None:
    path = written(tmp_path / name, table(key, SMILES if key == "smiles" else IDS))
    molecules = pd.DataFrame({"id": IDS, "smiles": SMILES})
    found = FileVectors(path, molecules=molecules)
    np.testing.assert_array_equal(numbers(found), VALUES)
    np.testing.assert_array_equal(numbers(found, SMILES[::-1]), VALUES[::-1])
    assert found.width == 2


def test_a_column_of_lists_is_a_vector_each(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    pd.DataFrame({"smiles": SMILES, "embedding": list(VALUES)}).to_parquet(path)
    np.testing.assert_array_equal(numbers(FileVectors(path)), VALUES)


def test_smiles_are_read_as_those_of_the_data_set(tmp_path: Path) -> None:
    others = ["[OH:3]CC", "NC(C)=O", "Oc1ccccc1.[Na+]"]
    path = written(tmp_path / "v.csv", table(keys=others))
    with pytest.raises(DrugtailError, match=r"no vector for 1 of 3 molecules \(for example c1cc"):
        numbers(FileVectors(path))
    parent = Molecules(standardize="parent")
    # Canonical SMILES are what the data set holds.
    asked = ["CCO", "CC(N)=O", "Oc1ccccc1"]
    np.testing.assert_array_equal(numbers(FileVectors(path, parent), asked), VALUES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.drop(columns="smiles"), "has neither of the columns smiles and id"),
        (lambda t: t.assign(id=IDS), "has both columns smiles and id"),
        (lambda t: t[["smiles"]], "holds no vector"),
        (lambda t: t.head(0), "holds no vector"),
        (lambda t: t.assign(label=[0, 1, 2]), "column 'label' is no part of a vector"),
        (lambda t: t.reset_index(names=""), "column 'Unnamed: 0' is no part of a vector"),
        (lambda t: t.assign(y=["1", "NA", "2"]), r"row 2, column 'y': 'NA' is no finite number"),
        (lambda t: t.assign(x=[1, 2, np.inf]), r"row 3, column 'x': 'inf' is no finite number"),
        (lambda t: t.assign(smiles=["CCO", "CCO", "C"]),
         r"smiles 'CCO' has different vectors in rows 1 and 2"),
        (lambda t: t.assign(smiles=["CCO", "OCC", "C"]),
         r"smiles 'CCO' has different vectors in rows 1 and 2"),
    ],
)  # fmt: skip
def test_what_is_amiss_is_named_with_its_row(change: Any, says: str, tmp_path: Path) -> None:
    path = written(tmp_path / "v.csv", change(table()))
    with pytest.raises(DrugtailError, match=f"v.csv: {says}"):
        FileVectors(path)


def test_vectors_of_other_lengths_or_molecules_are_named(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    pd.DataFrame({"smiles": SMILES, "e": [[1.0, 2.0], [1.0], [1.0, 2.0]]}).to_parquet(path)
    with pytest.raises(DrugtailError, match="row 2 has 1 numbers, row 1 2; all vectors need"):
        FileVectors(path)
    by_id = written(tmp_path / "v.csv", table("id", IDS))
    with pytest.raises(DrugtailError, match="knows molecules by id; vectors of new molecules"):
        FileVectors(by_id)
    more = pd.DataFrame({"id": [*IDS, "c", "d"], "smiles": [*SMILES, "C", "N"]})
    with pytest.raises(DrugtailError, match=r"no vector for 2 of 5 molecules \(for example c\)"):
        FileVectors(by_id, molecules=more)
    same = pd.DataFrame({"id": IDS, "smiles": ["CCO", "CCO", "C"]})
    with pytest.raises(DrugtailError, match="id a is the molecule CCO, which has another vector"):
        FileVectors(by_id, molecules=same)


@pytest.mark.parametrize("content", [b"\x00\x01\x02", b"PK\x03\x04 no", b""])
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_a_file_that_is_none_is_an_error_with_its_name(
    content: bytes, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"v{suffix}"
    path.write_bytes(content)
    with pytest.raises(DrugtailError, match=rf"v{suffix}: "):
        FileVectors(path)


def test_an_archive_of_pickles_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, vectors=VALUES, smiles=np.array(SMILES, dtype=object))
    with pytest.raises(DrugtailError, match=r"array 'smiles' holds objects; store it with astype"):
        FileVectors(path)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"smiles": SMILES}, r"has no array 'vectors', \[N, F\]; there are smiles"),
        ({"vectors": VALUES[0], "smiles": SMILES}, r"'vectors' has shape \[2\], not \[N, F\]"),
        ({"vectors": VALUES, "smiles": SMILES[:2]}, r"'smiles' has shape \[2\], and there are 3"),
        ({"vectors": VALUES}, "has neither of the columns smiles and id"),
    ],
)
def test_what_an_archive_lacks_is_named(arrays: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "v.npz"
    np.savez(path, **arrays)
    with pytest.raises(DrugtailError, match=f"v.npz: .*{says}"):
        FileVectors(path)


def test_a_flipped_byte_in_a_packed_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = written(tmp_path / "v.csv.gz", table())
    whole, refused = path.read_bytes(), 0
    for place in range(10, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            FileVectors(path)
        except DrugtailError:
            refused += 1
    assert refused > 10


def test_a_molecule_without_a_smiles_is_none(tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    table().assign(smiles=["CCO", None, None], x=[1.5, 0, 0], y=[-2.0, 0, 0]).to_parquet(path)
    np.testing.assert_array_equal(numbers(FileVectors(path), ["CCO"]), VALUES[:1])


def test_rows_that_are_no_molecule_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "v.csv", table(keys=["CCO", "ethanol", ""]))
    np.testing.assert_array_equal(numbers(FileVectors(path), ["CCO"]), VALUES[:1])
    said = capsys.readouterr().err
    assert "v.csv: 2 rows of 3 not used: no molecule, for example row 2, 'ethanol'" in said
    # Both names of a molecule that has none, since either may be what the reader knows.
    molecules = pd.DataFrame({"id": ["d-1", "d-2"], "smiles": ["CCO", "CCN"]})
    with pytest.raises(
        DrugtailError, match=r"no vector for 1 of 2 molecules \(for example d-2 CCN"
    ):
        FileVectors(path, molecules=molecules)


@settings(deadline=None)
@given(st.permutations(range(3)), st.lists(st.integers(0, 2), min_size=1, max_size=9))
def test_the_order_of_the_file_means_nothing(order: list[int], asked: list[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "v.csv", table().iloc[order])
        found = numbers(FileVectors(path), [SMILES[i] for i in asked])
    np.testing.assert_array_equal(found, VALUES[asked])


def test_they_are_joined_with_other_features_by_name(tmp_path: Path) -> None:
    assert class_of("vectors:mine").form == "vector"
    with pytest.raises(DrugtailError, match=r"write `vectors: \{mine: FILE\}` in the benchmark"):
        make_featurizer("vectors:mine")
    path = written(tmp_path / "v.csv", table())
    files = load_vectors(["atoms", "vectors:mine"], {"mine": path}, Molecules())
    both = make_featurizer("atoms+vectors:mine", files=files)
    assert both.form == "graph_and_vector"
    np.testing.assert_array_equal(both.arrays(SMILES)["values"], VALUES)
