"""Molecules of one group stand on one side of every drawn split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from demo_molecules import demo_smiles
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator
from rdkit.ML.Cluster import Butina
from varied_molecules import VARIED

from drugtail.config.split_name import each_split, parse_split
from drugtail.data.clusters import butina_clusters, fingerprints, nearest_similarity
from drugtail.data.grouping import group_molecules
from drugtail.data.split import split_dataset
from drugtail.data.strategy import STRATEGIES, UNUSED, Strategy
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet, write_parquet

PRODUCTS = demo_smiles(30)


def molecules(folder: Path, parents: list[int], labels: list[int], **columns: Any) -> Path:
    """Molecules of some parents, each with a scaffold that two parents share."""
    frame = pd.DataFrame(
        {
            "id": [f"m{i}" for i in range(len(parents))],
            "smiles": [PRODUCTS[i % 300] for i in range(len(parents))],
            "parent": [PRODUCTS[p] for p in parents],
            "scaffold": ["" if p % 5 == 0 else f"s{p // 2}" for p in parents],
            "label": labels,
            **columns,
        }
    )
    path = folder / "molecules.parquet"
    names = [f"class {c}" for c in range(max(labels) + 1)]
    write_parquet(path, frame, {"dataset": "tiny", "class_names": names})
    return path


def cut(path: Path, strategy: str, seed: int = 0, **how: Any) -> pd.DataFrame:
    output = path.parent / "split"
    split_dataset(path, strategy, seed, output, **how)
    return read_parquet(path).assign(subset=read_parquet(output.with_suffix(".parquet"))["subset"])


def sides(frame: pd.DataFrame, key: str) -> int:
    used = frame[(frame["subset"] != UNUSED) & (frame[key] != "")]
    return int(used.groupby(key)["subset"].nunique().max())


DRAWN = [name for name in STRATEGIES.names() if STRATEGIES[name].grouping is not None]


@pytest.mark.parametrize("strategy", DRAWN)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_parents_stay_together_in_every_drawn_split(
    tmp_path_factory: pytest.TempPathFactory, strategy: str, data: st.DataObject
) -> None:
    size = data.draw(st.integers(120, 250))
    parents = data.draw(
        st.lists(st.integers(0, 150), min_size=size, max_size=size), label="parents"
    )
    labels = data.draw(st.lists(st.sampled_from([0, 0, 0, 1, 1, 2]), min_size=size, max_size=size))
    years = [str(1990 + (p * 7) % 30) for p in parents]
    path = molecules(tmp_path_factory.mktemp("m"), parents, [*labels[:-3], 0, 1, 2], time=years)
    seed = data.draw(st.integers(0, 3))
    try:
        frame = cut(path, strategy, seed)
    except DrugtailError:
        # Too small or too tangled for this strategy, and it says so.
        with pytest.raises(DrugtailError, match=r"training molecules|empty|all lack|too little"):
            cut(path, strategy, seed)
        return
    assert sides(frame, "parent") == 1
    summary = read_json(path.parent / "split.json")
    assert {pair["parent"] for pair in summary["overlap"].values()} == {0}
    if strategy == "scaffold":
        assert sides(frame, "scaffold") == 1


def test_another_grouping_is_what_its_name_says(tmp_path: Path) -> None:
    parents = [i // 2 for i in range(200)]
    column = ["" if i % 9 == 0 else f"lab {i % 20}" for i in range(200)]
    path = molecules(tmp_path, parents, [i % 2 for i in range(200)], lab=column)
    assert sides(cut(path, "random", grouping="none"), "parent") > 1
    assert sides(cut(path, "random", grouping="scaffold"), "scaffold") == 1
    frame = cut(path, "random", grouping="lab")
    assert sides(frame, "lab") == 1
    assert sides(frame, "parent") > 1
    # Empty cells are no group.
    assert frame[frame["lab"] == ""]["subset"].nunique() > 1
    assert read_json(tmp_path / "split.json")["grouping"] == "lab"
    assert read_json(tmp_path / "split.json")["split"] == "random-0-lab"
    with pytest.raises(DrugtailError, match="no column 'year' to group by; write parent, scaffold"):
        cut(path, "random", grouping="year")
    with pytest.raises(DrugtailError, match="scaffold says itself what stays together"):
        cut(path, "scaffold", grouping="none")


def test_scaffolds_of_molecules_without_rings_are_their_parents() -> None:
    frame = pd.DataFrame(
        {"parent": ["CC", "CC", "CO", "c1ccccc1", "Cc1ccccc1"],
         "scaffold": ["", "", "", "c1ccccc1", "c1ccccc1"]}
    )  # fmt: skip
    assert group_molecules(frame, "scaffold", "").tolist() == [0, 0, 1, 2, 2]


def test_a_grouped_random_split_is_stratified(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parents = rng.integers(0, 300, 1_000).tolist()
    labels = [0 if p < 200 else 1 if p < 280 else 2 for p in parents]
    frame = cut(molecules(tmp_path, parents, labels), "random")
    shares = pd.crosstab(frame["label"], frame["subset"], normalize="index")
    assert shares["test"].between(0.15, 0.21).all()
    assert shares["valid"].between(0.06, 0.11).all()


def test_each_parent_is_tested_once_in_a_repetition(tmp_path: Path) -> None:
    parents = [i // 2 for i in range(240)]
    labels = [0 if p < 80 else 1 for p in parents]
    path = molecules(tmp_path, parents, labels)
    folds = [cut(path, "cv", 1, fold=fold)["subset"] for fold in range(5)]
    tested = pd.concat([(subset == "test") for subset in folds], axis=1).sum(axis=1)
    assert (tested == 1).all()
    for subset in folds:
        assert (subset == "valid").sum() == pytest.approx(24, abs=6)
        assert [(subset[np.array(labels) == c] == "test").mean() for c in (0, 1)] == pytest.approx(
            [0.2, 0.2], abs=0.03
        )
    other = cut(path, "cv", 2, fold=0)["subset"]
    assert not other.equals(folds[0])
    with pytest.raises(DrugtailError, match="fold 5: cv has folds 0 to 4"):
        cut(path, "cv", fold=5)


def test_a_class_of_one_parent_stays_in_training(tmp_path: Path) -> None:
    parents = [*range(100), 100, 100]
    labels = [0] * 60 + [1] * 40 + [2, 2]
    for fold in range(5):
        frame = cut(molecules(tmp_path, parents, labels), "cv", 0, fold=fold)
        assert set(frame["subset"][frame["label"] == 2]) == {"train"}


def test_the_newest_are_tested(tmp_path: Path) -> None:
    parents = [i // 2 for i in range(200)]
    years = [str(1980 + (i * 7) % 40) for i in range(200)]
    frame = cut(molecules(tmp_path, parents, [i % 2 for i in range(200)], time=years), "time")
    first = frame.groupby("parent")["time"].min().astype(int)
    subset = frame.groupby("parent")["subset"].first()
    assert first[subset == "train"].max() <= first[subset == "valid"].min()
    assert first[subset == "valid"].max() <= first[subset == "test"].min()
    assert (frame["subset"] == "test").mean() == pytest.approx(0.2, abs=0.03)


OFFICIAL = ["train"] * 60 + ["test"] * 20


def test_a_published_split_is_left_alone_and_its_overlap_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first ten tested molecules have their parent in training.
    parents = [*range(60), *range(10), *range(70, 80)]
    official = [*OFFICIAL[:50], *["valid"] * 10, *OFFICIAL[60:]]
    path = molecules(tmp_path, parents, [i % 2 for i in range(80)], official=official)
    frame = cut(path, "official")
    assert frame["subset"].tolist() == official
    said = capsys.readouterr().err
    assert "split official of tiny: 10 of 20 test molecules (50.0%) have their parent" in said
    purged = cut(path, "official_purged")
    assert sides(purged, "parent") == 1
    assert purged["subset"].tolist()[60:] == ["test"] * 20
    assert (purged["subset"] == UNUSED).sum() == 10
    summary = read_json(tmp_path / "split.json")
    assert (summary["purged"], summary["split"]) == (10, "official-purged")
    assert "10 molecules are unused: their parent is in another subset" in capsys.readouterr().err


def test_a_validation_part_is_cut_from_training_where_none_was_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parents = [i // 2 for i in range(80)]
    path = molecules(tmp_path, parents, [i % 2 for i in range(80)], official=OFFICIAL)
    frame = cut(path, "official")
    assert frame["subset"].tolist()[60:] == ["test"] * 20
    valid = frame[frame["subset"] == "valid"]
    assert 4 <= len(valid) <= 10
    assert set(valid["label"]) == {0, 1}
    train = frame[frame["subset"] == "train"]
    assert not set(valid["parent"]) & set(train["parent"])
    assert f"{len(valid)} of 60 training molecules were cut off for it" in capsys.readouterr().err
    assert frame.equals(cut(path, "official"))


def test_clusters_are_those_of_rdkit() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in PRODUCTS]
    distances = [
        1 - similarity
        for i in range(1, len(bits))
        for similarity in DataStructs.BulkTanimotoSimilarity(bits[i], bits[:i])
    ]
    wanted = Butina.ClusterData(distances, len(bits), 0.4, isDistData=True)
    found = pd.Series(butina_clusters(PRODUCTS))
    assert {frozenset(group) for group in found.groupby(found).groups.values()} == {
        frozenset(cluster) for cluster in wanted
    }
    assert 10 < len(wanted) < 290
    nearest = nearest_similarity(PRODUCTS[:5], PRODUCTS[5:])
    for i, similarity in enumerate(nearest):
        assert similarity == max(DataStructs.BulkTanimotoSimilarity(bits[i], bits[5:]))


def test_fingerprints_of_canonical_smiles_are_those_of_molecules_that_are_checked() -> None:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    canonical = [Chem.MolToSmiles(Chem.MolFromSmiles(one)) for one in [*VARIED, *PRODUCTS]]
    checked = [generator.GetFingerprint(Chem.MolFromSmiles(one)) for one in canonical]
    differing = [
        text
        for text, ours, theirs in zip(canonical, fingerprints(canonical), checked, strict=True)
        if ours != theirs
    ]
    assert differing == []


def test_a_strategy_that_divides_a_group_is_refused(tmp_path: Path) -> None:
    @STRATEGIES.register("heedless")
    class Heedless(Strategy):
        def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
            return rng.choice(["train", "train", "valid", "test"], len(molecules))

    path = molecules(tmp_path, [i // 2 for i in range(80)], [i % 2 for i in range(80)])
    try:
        with pytest.raises(DrugtailError, match=r"which have one parent; cut whole groups"):
            cut(path, "heedless")
        cut(path, "heedless", grouping="none")
    finally:
        STRATEGIES.forget("heedless")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("random-0", ("random", 0, None, None)),
        ("random-12-none", ("random", 12, None, "none")),
        ("cv-3-1", ("cv", 3, 1, None)),
        ("cv-3-1-scaffold", ("cv", 3, 1, "scaffold")),
        ("official", ("official", None, None, None)),
        ("official-purged", ("official_purged", None, None, None)),
        ("my_own-4-site_A", ("my_own", 4, None, "site_A")),
    ],
)
def test_a_name_says_what_a_split_is(name: str, parts: tuple[Any, ...]) -> None:
    found = parse_split(name)
    assert tuple(found) == parts
    assert str(found) == name


@pytest.mark.parametrize("name", ["", "random-", "-0", "cv-1-2-3", "random--none", "a b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a split"):
        parse_split(name)


def test_all_folds_have_a_short_name() -> None:
    assert each_split("cv-2x5")[:6] == ["cv-0-0", "cv-0-1", "cv-0-2", "cv-0-3", "cv-0-4", "cv-1-0"]
    assert len(each_split("cv-5x5")) == 25
    assert each_split("cv-1x5-none")[0] == "cv-0-0-none"
    assert each_split("random-0") == ["random-0"]
