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
from filelock import FileLock

from drugtail.config.catalogue import Catalogue
from drugtail.config.dataset import Dataset
from drugtail.data.fetch import fetch_dataset
from drugtail.data.prepare import prepare_dataset
from drugtail.data.reaction_smiles import canonical_reaction
from drugtail.data.split import split_dataset
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet

ROOT = Path(__file__).parents[2]
MIRROR = Path(os.environ.get("DRUGTAIL_MIRROR") or ROOT.parent / "shared" / "data")
CATALOGUE = Catalogue(ROOT / "config")
REGISTERS = {name: CATALOGUE.dataset(name) for name in CATALOGUE.names("datasets")}
# Rows of the table, and of some sets what is left, by the notes on the published files.
ROWS = {
    "bbbp": 2_050, "davis": 30_056, "drugbank_ddi": 192_284, "ecreact": 185_734, "hiv": 41_127,
    "mechanism_of_action": 13_553, "mesh_drug_class": 6_955, "muv": 93_087,
    "npclassifier": 78_191, "npclassifier_superclass": 78_191, "sider": 1_427, "taste": 15_025,
    "tox21": 7_831, "uspto_50k": 50_016,
}  # fmt: skip
# One task of each set that is read in seconds; the workflow of `catalogue` reads all of them.
READ = {
    "bbbp": 2, "davis": 2, "drugbank_ddi": 86, "hiv": 2, "mechanism_of_action": 145,
    "mesh_drug_class": 12, "muv.MUV_466": 2, "sider.Product_issues": 2, "taste": 5,
    "tox21.NR_AR": 2, "uspto_50k": 10,
}  # fmt: skip


def mirrored(dataset: Dataset) -> bool:
    paths = [MIRROR / file.mirror for file in dataset.files if file.mirror]
    return bool(paths) and all(path.is_file() for path in paths)


HERE = [name for name in READ if mirrored(CATALOGUE.dataset(name))]


class Prepared:
    """A data set as the pipeline prepares it."""

    def __init__(self, name: str, folder: Path) -> None:
        dataset = CATALOGUE.dataset(name)
        # Processes of one test run share what the first of them prepares.
        with FileLock(folder.with_suffix(".lock")):
            if not (folder / "dataset.json").is_file():
                fetch_dataset(dataset, folder / "raw", mirror=MIRROR)
                prepare_dataset(dataset, folder / "raw", folder, workers=2)
        self.path = folder / "molecules.parquet"
        self.molecules = read_parquet(self.path)
        self.rejected = pd.read_csv(folder / "rejected.csv", dtype=str, keep_default_na=False)
        self.summary = read_json(folder / "dataset.json")
        self.fetched = read_json(folder / "raw" / "fetch.json")

    def split(self, strategy: str, seed: int = 0, grouping: str | None = None) -> dict:
        output = self.path.with_name(f"{strategy}-{seed}-{grouping}-{os.getpid()}")
        split_dataset(self.path, strategy, seed, output, grouping=grouping)
        return read_json(output.with_name(output.name + ".json"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prepared]:
    """A factory: name of a data set -> what became of it; each is prepared once."""
    made: dict[str, Prepared] = {}
    base = tmp_path_factory.getbasetemp()
    # A worker's own folder lies in that of the run.
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "datasets"
    shared.mkdir(exist_ok=True)

    def make(name: str) -> Prepared:
        if name not in made:
            made[name] = Prepared(name, shared / name)
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
    for file in dataset.files:
        assert file.rows
        for source in file.sources:
            assert str(source.url).startswith("https://")
            # No copy of SBAP was at hand; its note says so.
            if name != "sbap":
                assert source.sha256
                assert len(source.sha256) == 64
                assert source.bytes
    if name in ROWS:
        assert sum(file.rows or 0 for file in dataset.table_files) == ROWS[name]
    added = {lookup.name for lookup in dataset.lookups}
    for file in dataset.table_files:
        assert set(dataset.columns.used) - added <= set(file.columns)
    for task in dataset.each_task():
        counts = task.expected.class_counts
        assert counts or task.expected.classes or task.synthetic or name == "sbap"
        if counts and task.classes:
            assert set(counts) == set(task.classes)
    if dataset.files:
        assert dataset.meaning


def test_there_are_twelve_sets_and_more() -> None:
    real = [name for name, dataset in REGISTERS.items() if not dataset.synthetic]
    assert set(real) == {*ROWS, "sbap"}
    tasks = {name: len(REGISTERS[name].each_task()) for name in real}
    wanted = {"tox21": 12, "sider": 27, "muv": 17, "npclassifier": 3, "ecreact": 3}
    assert {name: number for name, number in tasks.items() if number > 1} == wanted
    assert "never been fetched" in str(REGISTERS["sbap"].note)
    assert "two statements" in REGISTERS["mechanism_of_action"].licence


# ---------------------------------------------------------------------------------- the files


# A test of a data set whose files are not here is not collected: it could only be skipped.
if HERE:

    @pytest.mark.parametrize("name", HERE)
    def test_every_row_is_accounted_for(name: str, prepared: Callable[[str], Prepared]) -> None:
        found, dataset = prepared(name), CATALOGUE.dataset(name)
        molecules, summary = found.molecules, found.summary
        counts = (sum(summary[key].values()) for key in ("rejected", "left_out", "merged"))
        rows = ROWS[dataset.source]
        assert summary["rows"] == rows == len(molecules) + len(found.rejected)
        assert len(found.rejected) == sum(counts)
        if len(dataset.table_files) == 1:
            numbers = [*molecules["row"], *found.rejected["row"].astype(int)]
            assert sorted(numbers) == list(range(1, rows + 1))
        assert molecules["id"].is_unique
        assert len(summary["classes"]) == READ[name]
        assert (molecules[["smiles", "parent"]] != "").all(axis=None)
        parents = molecules.groupby("smiles")["parent"].nunique()
        # RDKit writes very few molecules in two ways.
        assert (parents > 1).sum() <= 1
        counted = {item["name"]: item["molecules"] for item in summary["classes"]}
        assert counted == molecules["label_name"].value_counts().to_dict()

    @pytest.mark.parametrize("name", HERE)
    def test_parents_are_kept_together(name: str, prepared: Callable[[str], Prepared]) -> None:
        summary = prepared(name).split("random")
        assert {pair["parent"] for pair in summary["overlap"].values()} == {0}
        assert min(summary["classes"]["train"]) > 0

    @pytest.mark.parametrize("name", HERE)
    def test_the_files_are_the_registered_ones(
        name: str, prepared: Callable[[str], Prepared]
    ) -> None:
        fetched, dataset = prepared(name).fetched, CATALOGUE.dataset(name)
        assert set(fetched) == {file.name for file in dataset.files}
        for file in dataset.files:
            digests = {file.mirror_sha256, *(source.sha256 for source in file.sources)}
            assert fetched[file.name]["sha256"] in digests
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
        assert summary["overlap"]["train-test"]["scaffold"] == 0


if "mesh_drug_class" in HERE:

    def test_mesh_has_6955_rows_12_classes_7_repeats_and_6_conflicts(
        prepared: Callable[[str], Prepared],
    ) -> None:
        found = prepared("mesh_drug_class")
        assert found.summary["rows"] == found.summary["molecules"] == 6_955
        assert found.summary["imbalance_ratio"] == 92.23
        # 6,948 SMILES differ; without isotope marks 6,930.
        assert found.summary["repeats"] == {
            "distinct_molecules": 6_930,
            "rows_that_repeat_a_molecule": 25,
            "molecules_with_several_classes": 6,
            "distinct_parents": 3_672,
            "rows_that_repeat_a_parent": 3_283,
            "parents_with_several_classes": 23,
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

    def test_more_than_half_of_a_plain_split_of_mesh_is_known_from_training(
        prepared: Callable[[str], Prepared], capsys: pytest.CaptureFixture[str]
    ) -> None:
        summary = prepared("mesh_drug_class").split("random", grouping="none")
        assert summary["overlap"]["train-test"]["parent"] == 827
        assert "827 of 1,392 test molecules (59.4%) have their parent" in capsys.readouterr().err
        assert summary["sha256"].startswith("471f6453c79d7543")


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
