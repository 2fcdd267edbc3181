"""Cutting data sets into parts, and head, middle and tail classes."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from demo_molecules import demo_smiles
from hypothesis import given, settings
from hypothesis import strategies as st

from drugtail.data.grouping import group_molecules
from drugtail.data.groups import class_groups
from drugtail.data.identity import identify_all
from drugtail.data.split import split_dataset, summarise_split
from drugtail.data.strategy import STRATEGIES, Strategy
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet

MESH = Path(__file__).parents[3].parent / "shared/data/mesh_drug_class/12cls_rmsaltol.csv.gz"
SIZES = st.lists(st.integers(3, 120), min_size=2, max_size=6)


def labels_of(sizes: list[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


def cut(name: str, rng: np.random.Generator, **columns: np.ndarray) -> np.ndarray:
    """Subset per molecule, each of which is a group for itself unless told otherwise."""
    frame = pd.DataFrame(columns)
    if "group" not in frame:
        frame["group"] = range(len(frame))
    return STRATEGIES[name]().cut(frame, rng)


def standard_split(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Subset per molecule, and how many cuts were drawn."""
    standard = STRATEGIES["standard"]()
    frame = pd.DataFrame({"label": labels, "group": range(len(labels))})
    return standard.cut(frame, rng), standard.facts["draws"]


def table(labels: np.ndarray, parts: np.ndarray) -> pd.DataFrame:
    """Molecules per class (rows) and part (columns)."""
    frame = pd.crosstab(labels, parts)
    return frame.reindex(columns=["train", "valid", "test", "unused"], fill_value=0)


@settings(deadline=None)
@given(SIZES, st.integers(0, 2**31))
def test_random_split_is_70_10_20_in_every_class(sizes: list[int], seed: int) -> None:
    labels = labels_of(sizes)
    counts = table(labels, cut("random", np.random.default_rng(seed), label=labels))
    assert counts["unused"].sum() == 0
    assert (counts[["train", "valid", "test"]] >= 1).all(axis=None)
    for size, (train, valid, test, _) in zip(sizes, counts.to_numpy(), strict=True):
        assert train + valid + test == size
        assert test == 1 or abs(test - 0.2 * size) <= 0.5
        assert valid == 1 or abs(valid - (size - test) / 8) <= 0.5


@settings(deadline=None)
@given(st.lists(st.integers(25, 200), min_size=2, max_size=5), st.integers(0, 2**31))
def test_standard_split_balances_valid_and_test_only(sizes: list[int], seed: int) -> None:
    labels = labels_of(sizes)
    parts, draws = standard_split(labels, np.random.default_rng(seed))
    counts = table(labels, parts)
    assert draws >= 1
    for part in ("valid", "test"):
        assert counts[part].nunique() == 1
        assert counts[part].min() >= 1
    assert counts["train"].min() >= 1
    total = len(labels)
    assert counts["train"].sum() == total - round(0.2 * total) - round(0.1 * total)


def test_standard_split_keeps_the_training_set_long_tailed() -> None:
    labels = labels_of([2_000, 200, 60])
    counts = table(labels, standard_split(labels, np.random.default_rng(0))[0])
    assert counts["train"].tolist() == pytest.approx([1_400, 140, 42], rel=0.15)
    assert counts["test"].tolist() == [counts["test"][0]] * 3
    assert 6 <= counts["test"][0] <= 20
    assert 2 <= counts["valid"][0] <= 12


def test_standard_split_draws_again_until_every_class_is_everywhere() -> None:
    labels = labels_of([200, 3])
    drawn = [standard_split(labels, np.random.default_rng(seed)) for seed in range(5)]
    assert max(draws for _, draws in drawn) > 1
    for parts, _ in drawn:
        assert table(labels, parts).loc[1, ["train", "valid", "test"]].tolist() == [1, 1, 1]


def test_standard_split_gives_up_where_a_class_cannot_be_everywhere() -> None:
    labels = np.array([0] * 50 + [1, 1])
    with pytest.raises(DrugtailError, match="use random-0"):
        standard_split(labels, np.random.default_rng(0))


def grouped(scaffolds: np.ndarray) -> np.ndarray:
    """Groups of molecules that all have another parent."""
    parents = [f"p{i}" for i in range(len(scaffolds))]
    return group_molecules(pd.DataFrame({"scaffold": scaffolds, "parent": parents}), "scaffold", "")


SCAFFOLDS = st.lists(
    st.sampled_from(["", *"abcdefghijklmnopqrstuvwxyz"]), min_size=20, max_size=200
)


@settings(deadline=None)
@given(SCAFFOLDS, st.integers(0, 2**31))
def test_scaffold_split_keeps_scaffolds_together(scaffolds: list[str], seed: int) -> None:
    keys = np.array(scaffolds, dtype=object)
    parts = cut("scaffold", np.random.default_rng(seed), group=grouped(keys))
    for scaffold in set(scaffolds) - {""}:
        assert len(set(parts[keys == scaffold])) == 1
        if scaffolds.count(scaffold) > len(keys) / 20:
            assert set(parts[keys == scaffold]) == {"train"}
    assert set(parts) <= {"train", "valid", "test"}
    assert (parts == "test").sum() <= round(0.2 * len(keys))
    assert (parts == "valid").sum() <= round(0.1 * len(keys))


def test_scaffold_split_is_70_10_20_and_differs_by_seed() -> None:
    keys = np.array([f"s{i // 4}" if i < 800 else "" for i in range(1_000)], dtype=object)
    group = grouped(keys)
    found = [cut("scaffold", np.random.default_rng(seed), group=group) for seed in range(3)]
    for parts in found:
        assert (parts == "test").sum() == pytest.approx(200, abs=4)
        assert (parts == "valid").sum() == pytest.approx(100, abs=4)
        # Molecules without rings are as many parents here and reach more than one part.
        assert len(set(parts[keys == ""])) > 1
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert (found[one] != found[two]).mean() > 0.2


def real_molecules() -> list[str]:
    """200 drugs, or, where the published data are not at hand, reaction products."""
    if MESH.is_file():
        with gzip.open(MESH) as handle:
            return pd.read_csv(handle)["smiles"].sample(200, random_state=0).tolist()
    return demo_smiles(20)


def test_scaffolds_group_molecules_as_deepchem_does() -> None:
    import deepchem

    smiles = real_molecules()
    # Ours are those of the parents, whatever salt or stereoisomer a molecule is.
    found = identify_all(smiles)
    parents, ours = found["parent"], found["scaffold"]
    dataset = deepchem.data.NumpyDataset(X=np.zeros((len(smiles), 1)), ids=parents.tolist())
    groups = deepchem.splits.ScaffoldSplitter().generate_scaffolds(dataset)
    same = ours.groupby(ours).groups.values()
    assert {frozenset(map(int, group)) for group in groups} == {frozenset(g) for g in same}
    assert len(groups) > 20


# ------------------------------------------------------------------------------------- files


def simple(number: int) -> str:
    """A valid SMILES for each number: an ether of two chains."""
    return "C" * (number // 20 + 1) + "O" + "C" * (number % 20) + "N"


def molecules(
    folder: Path, sizes: list[int], official: list[str] | None = None, repeats: int = 1
) -> Path:
    labels = labels_of(sizes)
    numbers = [i // repeats for i in range(len(labels))]
    frame = pd.DataFrame(
        {
            "id": [f"m{i}" for i in range(len(labels))],
            "smiles": [simple(i) for i in numbers],
            "parent": [simple(i) for i in numbers],
            "scaffold": ["" if i % 5 == 0 else f"s{i // 3}" for i in numbers],
            "label": labels,
        }
    )
    if official:
        frame["official"] = official
    path = folder / "molecules.parquet"
    names = [f"class {i}" for i in range(len(sizes))]
    write_parquet(path, frame, {"dataset": "tiny", "class_names": names})
    return path


def parts_of(path: Path, strategy: str, seed: int, output: Path) -> list[str]:
    split_dataset(path, strategy, seed, output)
    return read_parquet(output.with_name(output.name + ".parquet"))["subset"].tolist()


@pytest.mark.parametrize("strategy", ["random", "standard", "scaffold"])
def test_a_seed_gives_one_split_and_another_seed_another(tmp_path: Path, strategy: str) -> None:
    path = molecules(tmp_path, [200, 60, 30])
    first = parts_of(path, strategy, 0, tmp_path / "a")
    assert parts_of(path, strategy, 0, tmp_path / "b") == first
    for ending in ("parquet", "json"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    others = [parts_of(path, strategy, seed, tmp_path / f"s{seed}") for seed in (1, 2)]
    assert first not in others
    assert others[0] != others[1]
    hashes = {read_json(tmp_path / f"{name}.json")["sha256"] for name in ("a", "b", "s1", "s2")}
    assert len(hashes) == 3


def test_a_split_named_dotted_keeps_its_whole_name(tmp_path: Path) -> None:
    parts_of(molecules(tmp_path, [20, 10]), "random", 0, tmp_path / "random-0.5")
    assert (tmp_path / "random-0.5.parquet").is_file()
    assert (tmp_path / "random-0.5.json").is_file()


def test_the_summary_says_what_the_split_is_like(tmp_path: Path) -> None:
    path = molecules(tmp_path, [120, 60, 30, 12], repeats=2)
    parts = np.array(parts_of(path, "random", 3, tmp_path / "random-3"))
    summary = read_json(tmp_path / "random-3.json")
    frame = read_parquet(path)
    assert (summary["dataset"], summary["strategy"], summary["seed"]) == ("tiny", "random", 3)
    table_text = "id,subset\n" + "".join(
        f"{i},{part}\n" for i, part in zip(frame["id"], parts, strict=True)
    )
    assert summary["sha256"] == hashlib.sha256(table_text.encode()).hexdigest()
    for part in ("train", "valid", "test", "unused"):
        expected = [int(((parts == part) & (frame["label"] == c)).sum()) for c in range(4)]
        assert summary["classes"][part] == expected
    assert summary["train_counts"] == summary["classes"]["train"]
    assert summary["groups"] == ["head", "head", "middle", "tail"]
    header = read_parquet_metadata(tmp_path / "random-3.parquet")
    assert header["sha256"] == summary["sha256"]
    assert header["class_names"] == ["class 0", "class 1", "class 2", "class 3"]
    for pair, counts in summary["overlap"].items():
        first, second = pair.split("-")
        for key in ("smiles", "parent", "scaffold"):
            known = {v for v, part in zip(frame[key], parts, strict=True) if part == first and v}
            again = [
                v
                for v, part in zip(frame[key], parts, strict=True)
                if part == second and v in known
            ]
            assert counts[key] == len(again)
    assert summary["overlap"]["train-test"]["smiles"] == 0


def test_a_reaction_overlaps_only_with_the_same_reactants_and_product() -> None:
    frame = pd.DataFrame(
        {
            "subset": ["train", "train", "valid", "test", "test"],
            "label": [0, 1, 0, 0, 1],
            "smiles": ["CC", "CO", "CC", "CC", "CN"],
            "parent": ["CC", "CO", "CC", "CC", "CO"],
            "scaffold": ["", "s", "", "s", "s"],
            "reactants": ["A", "B", "A", "B", "A"],
        }
    )
    overlap = summarise_split(frame, ["no", "yes"])["overlap"]
    assert overlap["train-valid"] == {"smiles": 1, "parent": 1, "scaffold": 0, "reaction": 1}
    assert overlap["train-test"] == {"smiles": 1, "parent": 2, "scaffold": 2, "reaction": 0}
    assert overlap["valid-test"] == {"smiles": 1, "parent": 1, "scaffold": 0, "reaction": 0}


def test_official_parts_are_taken_as_published(tmp_path: Path) -> None:
    published = ["train", "valid", "test"] * 5
    path = molecules(tmp_path, [9, 6], published)
    assert parts_of(path, "official", 0, tmp_path / "official") == published


def test_official_is_refused_where_the_source_has_none(tmp_path: Path) -> None:
    path = molecules(tmp_path, [9, 6])
    with pytest.raises(DrugtailError, match="tiny has no published split; use random-0"):
        split_dataset(path, "official", 0, tmp_path / "official")
    assert not (tmp_path / "official.parquet").exists()


@pytest.mark.parametrize(("size", "absent"), [(1, ["valid", "test"]), (2, ["valid"]), (3, [])])
def test_a_class_of_few_parents_is_trained_on_and_said_to_be_absent_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int, absent: list[str]
) -> None:
    split_dataset(molecules(tmp_path, [30, size, 10]), "random", 0, tmp_path / "split")
    summary = read_json(tmp_path / "split.json")
    assert summary["absent"] == {
        subset: ["class 1"] if subset in absent else [] for subset in ("valid", "test")
    }
    said = capsys.readouterr().err
    for subset in ("valid", "test"):
        line = f"1 of 3 classes have too few groups to stand in {subset} (class 1)"
        assert (line in said) == (subset in absent)


@pytest.mark.parametrize("few", [1, 2, 3])
def test_a_class_of_one_or_two_validation_molecules_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], few: int
) -> None:
    large = ["valid"] * 9 + ["train"] * 22 + ["test"] * 9
    small = ["valid"] * few + ["train"] * 6 + ["test"] * (4 - few)
    parts = {0: iter(large), 1: iter(small)}
    official = [next(parts[label]) for label in labels_of([40, 10])]
    split_dataset(molecules(tmp_path, [40, 10], official), "official", 0, tmp_path / "official")
    said = capsys.readouterr().err
    assert ("the smallest class in valid has" in said) == (few < 3)


def test_a_class_too_small_for_a_standard_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match="the smallest class is too small: use random-0"):
        split_dataset(molecules(tmp_path, [30, 2, 10]), "standard", 0, tmp_path / "split")
    assert [file.name for file in tmp_path.iterdir()] == ["molecules.parquet"]


class ByChance(Strategy):
    """Takes chance from elsewhere."""

    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        return np.random.default_rng().permutation(
            np.resize(["train", "train", "valid", "test"], len(molecules))
        )


def test_a_strategy_that_takes_chance_from_elsewhere_is_refused(tmp_path: Path) -> None:
    path = molecules(tmp_path, [40, 30])
    STRATEGIES.register("by_chance")(ByChance)
    try:
        with pytest.raises(DrugtailError, match="otherwise when it was cut a second time"):
            split_dataset(path, "by_chance", 0, tmp_path / "by_chance-0")
    finally:
        STRATEGIES.forget("by_chance")
    assert not list(tmp_path.glob("by_chance-0*"))


def test_a_strategy_without_seeds_says_none(tmp_path: Path) -> None:
    path = molecules(tmp_path, [10, 10], official=["train", "test", "valid", "train"] * 5)
    split_dataset(path, "official", 0, tmp_path / "official")
    assert read_json(tmp_path / "official.json")["seed"] is None


def test_a_class_of_three_stands_in_every_part(tmp_path: Path) -> None:
    path = molecules(tmp_path, [30, 3])
    parts = np.array(parts_of(path, "random", 0, tmp_path / "split"))
    assert sorted(parts[read_parquet(path)["label"] == 1]) == ["test", "train", "valid"]


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match="one class"):
        split_dataset(molecules(tmp_path, [30]), "random", 0, tmp_path / "split")


def test_a_split_without_training_molecules_of_a_class_is_refused(tmp_path: Path) -> None:
    path = molecules(tmp_path, [9, 3])
    frame = read_parquet(path)
    frame["official"] = np.where(frame["label"] == 1, "test", "train")
    write_parquet(path, frame, read_parquet_metadata(path))
    with pytest.raises(DrugtailError, match="leaves class 'class 1' without training"):
        split_dataset(path, "official", 0, tmp_path / "split")


def test_too_few_groups_are_said_with_their_sizes(tmp_path: Path) -> None:
    path = molecules(tmp_path, [30, 30])
    frame = read_parquet(path)
    frame["scaffold"] = np.where(frame["label"] == 1, "c1ccccc1", "c1ccncc1")
    write_parquet(path, frame, read_parquet_metadata(path))
    says = (
        r"leaves valid empty \(60 molecules in 2 groups by scaffold, .*50%\); use another strategy"
    )
    with pytest.raises(DrugtailError, match=says):
        split_dataset(path, "scaffold", 0, tmp_path / "split")


def test_few_shots_are_20_molecules_of_different_groups_and_whole_folds_are_tested() -> None:
    labels = labels_of([150, 60, 12])
    # Salts: molecules of one group, of one class.
    order = np.lexsort((np.arange(len(labels)), labels))
    group = np.empty(len(labels), dtype=int)
    group[order] = np.arange(len(labels)) // 2
    tested = []
    for fold in range(5):
        frame = pd.DataFrame({"label": labels, "group": group})
        strategy = STRATEGIES["fewshot"](fold)
        parts = strategy.cut(frame, np.random.default_rng(0))
        counts = table(labels, parts)
        few = counts.loc[2]
        train = pd.DataFrame({"label": labels, "group": group})[parts == "train"]
        assert counts["train"].tolist()[:2] == [20, 20]
        assert 3 <= few["train"] <= 6, "one of each group that is there"
        assert not train.duplicated().any()
        assert train["group"].isin(group[parts == "unused"]).any(), "the other salt is unused"
        assert strategy.remarks[0].startswith(f"{(parts == 'unused').sum()} training molecules")
        tested.append(np.flatnonzero(parts == "test"))
    assert sorted(np.concatenate(tested)) == list(range(len(labels)))


def test_an_unknown_strategy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DrugtailError, match="'stratified': there are butina, cv, fewshot, official, off"
    ):
        split_dataset(molecules(tmp_path, [9, 6]), "stratified", 0, tmp_path / "split")


@pytest.mark.parametrize(("sizes", "needs"), [([4, 4], 5), ([6, 6], 8), ([9, 4], 8)])
def test_too_few_molecules_for_a_cross_validation_are_said(
    tmp_path: Path, sizes: list[int], needs: int
) -> None:
    with pytest.raises(
        DrugtailError, match=f"needs a class of {needs} molecules or more.*random-0"
    ):
        split_dataset(molecules(tmp_path, sizes), "cv", 0, tmp_path / "split")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda subsets: subsets[:-1], r"has shape \[38\] for 39 molecules"),
        (lambda subsets: np.where(np.arange(39) == 4, "tset", subsets), "molecule 4 into 'tset'"),
        (lambda subsets: np.where(np.arange(39) == 4, np.nan, subsets), "molecule 4 into nan"),
        (lambda subsets: np.where(subsets == "valid", "train", subsets), "leaves valid empty"),
        (lambda subsets: np.where(subsets == "test", "unused", subsets), "leaves test empty"),
        (lambda subsets: subsets["no"], r"split.py: line \d+: IndexError: .*; mend the file"),
    ],
)
def test_what_is_no_cut_of_the_molecules_is_refused(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], says: str
) -> None:
    @STRATEGIES.register("faulty")
    class Faulty(Strategy):
        def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
            return change(STRATEGIES["random"]().cut(molecules, rng).astype(object))

    try:
        with pytest.raises(DrugtailError, match=says) as error:
            split_dataset(molecules(tmp_path, [30, 9]), "faulty", 2, tmp_path / "split")
    finally:
        STRATEGIES.forget("faulty")
    assert "split faulty-2 of tiny" in str(error.value)
    assert not (tmp_path / "split.parquet").exists()


# ------------------------------------------------------------------------------------ groups


@pytest.mark.parametrize("classes", range(3, 201))
def test_groups_follow_the_rule_for_any_number_of_classes(classes: int) -> None:
    head = int((Decimal("0.3") * classes).to_integral_value(ROUND_CEILING))
    rest = classes - head
    tail = int((Decimal(rest) * 3 / 7).to_integral_value(ROUND_HALF_EVEN))
    sizes = np.random.default_rng(classes).permutation(classes * 2)[:classes] + 1
    expected = [""] * classes
    for rank, label in enumerate(sorted(range(classes), key=lambda c: -sizes[c])):
        expected[label] = "head" if rank < head else "middle" if rank < classes - tail else "tail"
    assert class_groups(sizes.tolist()) == expected


def test_two_classes_are_head_and_tail() -> None:
    assert class_groups([5, 90]) == ["tail", "head"]
    assert class_groups([90, 5]) == ["head", "tail"]
    assert class_groups([7, 7]) == ["head", "tail"]


def test_ten_classes_are_three_four_three() -> None:
    found = class_groups([100, 90, 80, 70, 60, 50, 40, 30, 20, 10])
    assert found == ["head"] * 3 + ["middle"] * 4 + ["tail"] * 3
