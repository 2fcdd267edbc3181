"""Real data sets: the published facts must come out of the published files.

Needs the files themselves: the folder in DRUGTAIL_MIRROR, or ../shared/data beside the repository.
Where a file is absent, its data set is checked by its register alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from drugtail.config.catalogue import Catalogue
from drugtail.config.dataset import Dataset
from drugtail.data.fetch import fetch_dataset
from drugtail.data.prepare import prepare_dataset
from drugtail.data.reaction_smiles import canonical_reaction
from drugtail.data.split import split_dataset
from drugtail.runtime.files import read_json, read_parquet

ROOT = Path(__file__).parents[2]
MIRROR = Path(os.environ.get("DRUGTAIL_MIRROR") or ROOT.parent / "shared" / "data")
CATALOGUE = Catalogue(ROOT / "config")
REGISTERS = {name: CATALOGUE.dataset(name) for name in CATALOGUE.names("datasets")}
ROWS = {"hiv": 41_127, "mesh_drug_class": 6_955, "uspto_50k": 50_016}


def mirrored(dataset: Dataset) -> bool:
    paths = [MIRROR / file.mirror for file in dataset.files if file.mirror]
    return bool(paths) and all(path.is_file() for path in paths)


HERE = [name for name, dataset in REGISTERS.items() if mirrored(dataset)]


class Prepared:
    """A data set as the pipeline prepares it."""

    def __init__(self, name: str, folder: Path) -> None:
        fetch_dataset(REGISTERS[name], folder / "raw", mirror=MIRROR)
        prepare_dataset(REGISTERS[name], folder / "raw", folder, workers=2)
        self.path = folder / "molecules.parquet"
        self.molecules = read_parquet(self.path)
        self.rejected = pd.read_csv(folder / "rejected.csv", dtype=str, keep_default_na=False)
        self.summary = read_json(folder / "dataset.json")
        self.fetched = read_json(folder / "raw" / "fetch.json")

    def split(self, strategy: str, seed: int = 0) -> dict:
        output = self.path.with_name(f"{strategy}-{seed}")
        split_dataset(self.path, strategy, seed, output)
        return read_json(output.with_name(output.name + ".json"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prepared]:
    """A factory: name of a data set -> what became of it; each is prepared once."""
    made: dict[str, Prepared] = {}

    def make(name: str) -> Prepared:
        if name not in made:
            made[name] = Prepared(name, tmp_path_factory.mktemp(name))
        return made[name]

    return make


def reactions(molecules: pd.DataFrame) -> pd.Series:
    """Canonical reactions, without atom maps and reagents."""
    return molecules["reactants"] + ">>" + molecules["smiles"]


# --------------------------------------------------------------------------------- registers


@pytest.mark.parametrize("name", sorted(REGISTERS))
def test_a_register_says_where_the_data_come_from_and_what_is_in_them(name: str) -> None:
    dataset = REGISTERS[name]
    assert dataset.synthetic == (dataset.generator is not None)
    assert dataset.licence
    assert dataset.citation
    assert dataset.classes
    for file in dataset.files:
        assert file.rows
        for source in file.sources:
            assert str(source.url).startswith("https://")
            assert source.sha256
            assert len(source.sha256) == 64
            assert source.bytes
    if dataset.files:
        counts = dataset.expected.class_counts
        assert counts is not None
        assert set(counts) == set(dataset.classes)
        assert sum(counts.values()) == dataset.files[0].rows == ROWS.get(name, sum(counts.values()))
        columns = dataset.columns.model_dump(exclude_none=True).values()
        assert set(columns) <= set(dataset.files[0].columns)


# ---------------------------------------------------------------------------------- the files


# A test of a data set whose files are not here is not collected: it could only be skipped.
if HERE:

    @pytest.mark.parametrize("name", HERE)
    def test_every_row_is_accounted_for(name: str, prepared: Callable[[str], Prepared]) -> None:
        found, dataset = prepared(name), REGISTERS[name]
        molecules = found.molecules
        rows = [*molecules["row"], *found.rejected["row"].astype(int)]
        assert sorted(rows) == list(range(1, dataset.files[0].rows + 1))
        assert molecules["row"].is_monotonic_increasing
        assert molecules["id"].is_unique
        assert found.summary["rows"] == dataset.files[0].rows
        assert found.summary["molecules"] == len(molecules)
        names = list(dataset.classes.values())
        assert molecules["label_name"].tolist() == [names[c] for c in molecules["label"]]
        distinct = molecules["smiles"].nunique()
        assert found.summary["repeats"]["rows_that_repeat_a_molecule"] == len(molecules) - distinct

    @pytest.mark.parametrize("name", HERE)
    def test_the_files_are_the_registered_ones(
        name: str, prepared: Callable[[str], Prepared]
    ) -> None:
        fetched = prepared(name).fetched
        assert set(fetched) == {file.name for file in REGISTERS[name].files}
        for file in REGISTERS[name].files:
            assert fetched[file.name]["sha256"] in {source.sha256 for source in file.sources}
            assert fetched[file.name]["source"] == str(MIRROR / file.mirror)


if "hiv" in HERE:

    def test_hiv_has_41127_rows_7_unparsable_and_1443_active(
        prepared: Callable[[str], Prepared],
    ) -> None:
        found = prepared("hiv")
        assert found.summary["rows"] == 41_127
        assert found.summary["rejected"] == {"unparsable SMILES": 7}
        published = Counter(found.molecules["label"])
        published.update(int(label) for label in found.rejected["label"])
        assert published == {0: 39_684, 1: 1_443}
        assert found.summary["repeats"]["rows_that_repeat_a_molecule"] == 0

    def test_hiv_splits_into_head_and_tail(prepared: Callable[[str], Prepared]) -> None:
        for strategy in ("random", "standard", "scaffold"):
            summary = prepared("hiv").split(strategy)
            assert summary["groups"] == ["head", "tail"]
            assert all(min(summary["classes"][part]) > 0 for part in ("train", "valid", "test"))
        assert summary["overlap"]["train-test"] == {"smiles": 0, "scaffold": 0}


if "mesh_drug_class" in HERE:

    def test_mesh_has_6955_rows_12_classes_7_repeats_and_6_conflicts(
        prepared: Callable[[str], Prepared],
    ) -> None:
        found = prepared("mesh_drug_class")
        assert found.summary["rows"] == found.summary["molecules"] == 6_955
        assert found.summary["imbalance_ratio"] == 92.23
        assert found.summary["repeats"] == {
            "distinct_molecules": 6_948,
            "rows_that_repeat_a_molecule": 7,
            "molecules_with_several_classes": 6,
        }
        assert (found.molecules.groupby("smiles")["label"].nunique() > 1).sum() == 6
        sizes = {item["name"]: item["molecules"] for item in found.summary["classes"]}
        assert len(sizes) == 12
        assert (sizes["antiinfective"], sizes["urological"]) == (2_398, 26)
        groups = dict(zip(sizes, found.split("random")["groups"], strict=True))
        assert Counter(groups.values()) == {"head": 4, "middle": 5, "tail": 3}
        assert {name for name, group in groups.items() if group == "tail"} == {
            "dermatologic", "respiratory system", "urological",
        }  # fmt: skip


if "uspto_50k" in HERE:

    def test_uspto_has_50016_rows_10_classes_and_the_published_split(
        prepared: Callable[[str], Prepared],
    ) -> None:
        found = prepared("uspto_50k")
        assert found.summary["rows"] == found.summary["molecules"] == 50_016
        assert len(found.summary["classes"]) == 10
        assert found.summary["imbalance_ratio"] == 65.87
        counts = found.split("official")["classes"]
        sizes = {part: sum(numbers) for part, numbers in counts.items()}
        assert sizes == {"train": 40_008, "valid": 5_001, "test": 5_007, "unused": 0}
        assert counts["test"] == [1516, 1190, 567, 91, 68, 824, 462, 82, 184, 23]

    def test_uspto_repeats_45_and_50_training_reactions(
        prepared: Callable[[str], Prepared],
    ) -> None:
        found = prepared("uspto_50k")
        assert reactions(found.molecules).nunique() == 49_702
        overlap = found.split("official")["overlap"]
        assert overlap["train-valid"]["reaction"] == 45
        assert overlap["train-test"]["reaction"] == 50


GLN = MIRROR / "uspto_50k" / "uspto_50k_gln_split.csv.gz"

if "uspto_50k" in HERE and GLN.is_file():

    def test_uspto_split_equals_that_of_gln(prepared: Callable[[str], Prepared]) -> None:
        molecules = prepared("uspto_50k").molecules.set_index("id")
        gln = pd.read_csv(GLN).set_index("r_id").loc[molecules.index]
        assert (gln["class"] - 1 == molecules["label"]).all()
        sample = gln["rxn"].sample(500, random_state=0)
        assert sample.map(canonical_reaction).equals(reactions(molecules)[sample.index])
        # A repeated reaction may swap its rows' parts, so reactions are compared, not rows.
        parts = gln["split"].replace("val", "valid")
        assert Counter(zip(reactions(molecules), parts, strict=True)) == Counter(
            zip(reactions(molecules), molecules["official"], strict=True)
        )
