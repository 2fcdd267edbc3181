"""Separability of classes before training, against scikit-learn's silhouettes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics import silhouette_samples

from drugtail.data.split import split_dataset
from drugtail.features import separability
from drugtail.features.separability import class_silhouettes, measure_separability
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet


def bits(seed: int, number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Fingerprints of three classes, the first of which is tight."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 0, 1, 1, 2, 2], rng.integers(3, size=number)])
    own = rng.random((3, 64)) < 0.3
    noise = np.array([0.02, 0.2, 0.3])[labels]
    flipped = rng.random((len(labels), 64)) < noise[:, None]
    found = own[labels] ^ flipped
    # A fingerprint without a bit is no molecule's.
    found[:, 0] = True
    return found.astype(np.float32), labels


@given(st.integers(0, 2**32), st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_mean_silhouettes_are_those_of_scikit_learn(seed: int, number: int) -> None:
    fingerprints, labels = bits(seed, number)
    distances = cdist(fingerprints.astype(bool), fingerprints.astype(bool), "jaccard")
    samples = silhouette_samples(distances, labels, metric="precomputed")
    wanted = [samples[labels == c].mean() for c in range(3)]
    found = class_silhouettes(fingerprints, labels, 3)
    np.testing.assert_allclose(found.mean, wanted, atol=1e-5)

    # The nearest one of each class, molecule by molecule.
    np.fill_diagonal(distances, np.inf)
    by_class = np.array([[row[labels == c].min() for c in range(3)] for row in distances])
    inside = by_class[np.arange(len(labels)), labels]
    by_class[np.arange(len(labels)), labels] = np.inf
    outside = by_class.min(axis=1)
    larger = np.maximum(inside, outside)
    values = np.where(larger > 0, (outside - inside) / np.where(larger > 0, larger, 1), 0)
    nearest = [values[labels == c].mean() for c in range(3)]
    np.testing.assert_allclose(found.nearest, nearest, atol=1e-5)


def test_molecules_are_compared_in_pieces_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fingerprints, labels = bits(1, 100)
    whole = class_silhouettes(fingerprints, labels, 3)
    monkeypatch.setattr("drugtail.features.similarity.HELD", 700)
    pieces = class_silhouettes(fingerprints, labels, 3)
    np.testing.assert_allclose(pieces, whole, atol=1e-6)


def test_a_class_of_one_parent_has_no_silhouette_and_counts_as_another_class() -> None:
    fingerprints, labels = bits(2, 10)
    alone = np.append(fingerprints, fingerprints[:1], axis=0)
    found = class_silhouettes(alone, np.append(labels, 4), 5)
    # Class 3 has no molecule at all.
    assert np.isnan(found.mean).tolist() == [False, False, False, True, True]
    # Molecule 0 of class 0 has a twin in class 4, so that class 0 lies less apart.
    assert found.mean[0] < class_silhouettes(fingerprints, labels, 3).mean[0]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Alcohols and amines, two of them salts of one parent, and their split."""
    chains = ["C" * n for n in range(2, 22)]
    smiles = [f"{c}O" for c in chains] + [f"{c}N" for c in chains]
    parents = [*smiles[:38], smiles[38], smiles[38]]
    frame = pd.DataFrame(
        {"id": [f"m{i}" for i in range(40)], "smiles": smiles, "parent": parents, "scaffold": "",
         "label": [0] * 20 + [1] * 20}
    )  # fmt: skip
    header = {"dataset": "chains", "class_names": ["alcohol", "amine"]}
    write_parquet(tmp_path / "molecules.parquet", frame, header)
    split_dataset(tmp_path / "molecules.parquet", "random", 0, tmp_path / "random-0")
    return tmp_path / "molecules.parquet", tmp_path / "random-0.parquet"


def test_training_parents_alone_are_measured_each_once(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    molecules, split = files
    measure_separability(molecules, split, tmp_path / "found.parquet")
    found = read_parquet(tmp_path / "found.parquet")
    frame, cut = read_parquet(molecules), read_parquet(split)
    train = frame[(cut["subset"] == "train").to_numpy()]
    parents = train.groupby("label")["parent"].nunique()
    assert found["train_parents"].tolist() == parents.tolist()
    assert found["compared"].tolist() == parents.tolist()
    assert (found["silhouette"] > 0).all()
    header = read_parquet_metadata(tmp_path / "found.parquet")
    assert header["split_sha256"] == read_parquet_metadata(split)["sha256"]

    # Test molecules have no part in it.
    other = frame.copy()
    tested = (cut["subset"] == "test").to_numpy()
    other.loc[tested, "parent"] = "c1ccccc1"
    write_parquet(molecules, other, read_parquet_metadata(molecules))
    measure_separability(molecules, split, tmp_path / "again.parquet")
    pd.testing.assert_frame_equal(found, read_parquet(tmp_path / "again.parquet"))


def test_of_many_parents_a_fixed_draw_is_compared(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separability, "FEWEST_OF_CLASS", 5)
    monkeypatch.setattr(separability, "MOST_COMPARED", 10)
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    measure_separability(*files, one)
    measure_separability(*files, two)
    assert read_parquet(one)["compared"].tolist() == [5, 5]
    pd.testing.assert_frame_equal(read_parquet(one), read_parquet(two))


def test_a_split_of_other_molecules_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    molecules, split = files
    frame = read_parquet(molecules)
    write_parquet(molecules, frame.head(30), read_parquet_metadata(molecules))
    with pytest.raises(DrugtailError, match=r"random-0\.parquet: its molecules are not those of"):
        measure_separability(molecules, split, tmp_path / "found.parquet")
    # As pandas writes it, which leaves the header out.
    frame.to_parquet(molecules)
    for command in (
        lambda: measure_separability(molecules, split, tmp_path / "found.parquet"),
        lambda: split_dataset(molecules, "random", 0, tmp_path / "again"),
    ):
        with pytest.raises(DrugtailError, match="does not say which data set and classes it is"):
            command()
    assert not (tmp_path / "found.parquet").exists()
