"""Every split strategy keeps the contract of strategies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from demo_molecules import demo_smiles

from drugtail.data.split import split_dataset
from drugtail.data.strategy import STRATEGIES, SUBSETS, UNUSED
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet, write_parquet

SIZES = (120, 60, 30)


@pytest.fixture(params=STRATEGIES.names())
def strategy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@cache
def products() -> list[str]:
    """Molecules as different as drugs are."""
    return demo_smiles(28)


def molecules(folder: Path, sizes: Sequence[int] = SIZES, dataset: str = "any") -> Path:
    """Molecules with everything that a strategy may require."""
    labels = np.random.default_rng(0).permutation(np.repeat(range(len(sizes)), sizes))
    smiles = products()[: len(labels)]
    frame = pd.DataFrame(
        {
            "id": [f"m{i}" for i in range(len(labels))],
            "smiles": smiles,
            # Some parents have two molecules.
            "parent": [smiles[i - (i % 7 == 1)] for i in range(len(labels))],
            "scaffold": ["" if i % 5 == 0 else f"s{i // 3}" for i in range(len(labels))],
            "label": labels,
            "label_name": [f"class {c}" for c in labels],
            "official": [("train", "train", "valid", "test")[i % 4] for i in range(len(labels))],
            "reactants": "C.C",
            "time": [f"20{i % 40:02}" for i in range(len(labels))],
        }
    )
    path = folder / f"{dataset}.parquet"
    names = [f"class {c}" for c in range(len(sizes))]
    write_parquet(path, frame, {"dataset": dataset, "class_names": names})
    return path


def cut(path: Path, strategy: str, seed: int, name: str = "split") -> pd.DataFrame:
    output = path.parent / name
    split_dataset(path, strategy, seed, output)
    return read_parquet(output.with_name(f"{name}.parquet"))


def test_every_molecule_stands_in_one_subset_and_every_class_is_trained_on(
    tmp_path: Path, strategy: str
) -> None:
    path = molecules(tmp_path)
    found, frame = cut(path, strategy, 0), read_parquet(path)
    assert found["id"].tolist() == frame["id"].tolist()
    assert set(found["subset"]) <= {*SUBSETS, UNUSED}
    assert set(found["subset"]) >= set(SUBSETS)
    assert set(frame["label"][found["subset"] == "train"]) == {0, 1, 2}


def test_a_seed_is_one_split_and_seeds_data_sets_and_repeats_differ_as_declared(
    tmp_path: Path, strategy: str
) -> None:
    path = molecules(tmp_path)
    first, again, other = (
        cut(path, strategy, seed, f"{i}")["subset"].tolist() for i, seed in enumerate((3, 3, 4))
    )
    assert first == again
    seeded = STRATEGIES[strategy].seeded
    assert (first != other) == seeded
    elsewhere = cut(molecules(tmp_path, dataset="another"), strategy, 3, "elsewhere")
    assert (first != elsewhere["subset"].tolist()) == seeded


def test_the_global_generator_changes_nothing_and_is_left_alone(
    tmp_path: Path, strategy: str
) -> None:
    path = molecules(tmp_path)
    np.random.seed(1)
    before = np.random.get_state()[1].tolist()
    first = cut(path, strategy, 0, "a")
    assert np.random.get_state()[1].tolist() == before
    np.random.seed(2)
    pd.testing.assert_frame_equal(first, cut(path, strategy, 0, "b"))


def test_the_summary_counts_what_is_in_the_file(tmp_path: Path, strategy: str) -> None:
    path = molecules(tmp_path)
    found, frame = cut(path, strategy, 0), read_parquet(path)
    summary = read_json(tmp_path / "split.json")
    for subset in (*SUBSETS, UNUSED):
        members = frame["label"][found["subset"] == subset]
        assert summary["classes"][subset] == [int((members == c).sum()) for c in range(3)]
    assert summary["strategy"] == strategy


def test_it_says_what_it_is_and_requires_only_columns_that_it_names(strategy: str) -> None:
    one = STRATEGIES[strategy]
    assert (one.__doc__ or "").strip().partition("\n")[0].endswith((".", ":"))
    assert set(one.requires) <= {"official", "reactants", "time"}
