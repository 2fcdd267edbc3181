"""What the README and results/published/ say agrees with itself and with the configuration."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from drugtail.benchmark.read_back import read_back, retabulate
from drugtail.config.catalogue import Catalogue, read_benchmark
from drugtail.evaluation.derived_rows import is_derived
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet

PROJECT = Path(__file__).parents[2]
CATALOGUE = Catalogue(PROJECT / "config")
FOLDERS = sorted(path.parent for path in PROJECT.glob("results/published/*/manifest.json"))


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_there_is_something_published() -> None:
    names = {folder.name for folder in FOLDERS}
    assert names == {
        "methods", "methods_npclassifier", "methods_tox21", "methods_taste", "rare_classes",
        "fewshot", "splits", "regularisation", "anchor_mesh", "anchor_taste", "confirmation",
        "confirmation_davis", "paper_hiv_standard",
        "paper_hiv_random", "paper_uspto_50k_standard", "paper_uspto_50k_random",
    }  # fmt: skip


# Column of README's table -> published folder that it quotes.
QUOTED = {
    "Drug classes": "methods",
    "Natural products": "methods_npclassifier",
    "Assay": "methods_tox21",
    "Tastes": "methods_taste",
}


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def answers(folder: str) -> dict[str, str]:
    """Question -> difference, with p and verdict where it is decided, as README says it."""
    page = PROJECT / "results/published" / folder / "tables/questions.md"
    rows = [cells(row) for row in table_rows(page.read_text())[2:]]
    return {
        question: difference if verdict == "undecided" else f"{difference}, p {p}: **{verdict}**"
        for question, _, _, difference, p, verdict in rows
    }


def test_the_readme_quotes_the_study_and_leaves_no_question_out() -> None:
    readme = (PROJECT / "README.md").read_text()
    (quoted,) = re.findall(r"(?m)^<!-- from the study -->\n((?:\|.*\n)+)", readme)
    head, _, *rows = map(cells, table_rows(quoted))
    assert head == ["Question", *QUOTED]
    for column, folder in enumerate(QUOTED.values(), 1):
        assert {row[0]: row[column] for row in rows} == answers(folder)


def test_what_was_withdrawn_is_quoted_nowhere() -> None:
    pages = [PROJECT / "README.md", *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("config/**/*.md")]
    for path in [*pages, *PROJECT.glob("results/published/*/README.md")]:
        for gone in ("real", "families", "proposed", "separability", "ablation", "baselines"):
            assert f"published/{gone}" not in path.read_text(), path
            assert f"../{gone}/" not in path.read_text(), path


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
class TestPublished:
    def test_every_run_of_the_tables_was_finished_or_is_named_as_missing(
        self, folder: Path
    ) -> None:
        benchmark = read_json(folder / "manifest.json")
        missing = {Path(block).parts[3] for block in benchmark.get("missing", [])}
        expected = None
        for path in (folder / "tables").glob("*.csv"):
            table = pd.read_csv(path)
            # With data sets across there is a row per metric.
            if "expected" in table and "metric" not in table and path.stem != "trade_off":
                table = table[~is_derived(table["method"])]
                wanted = table["expected"].mask(table["method"].isin(missing), 0)
                assert (table["runs"] == wanted).all()
                expected = table["runs"].sum()
                assert expected == benchmark["runs"]
        assert expected is not None

    def test_gaps_are_counted_where_people_read(self, folder: Path) -> None:
        benchmark = read_json(folder / "manifest.json")
        if missing := benchmark.get("missing"):
            blocks = len(benchmark["blocks"])
            counted = rf"\*\*{blocks} of {blocks + len(missing)} (methods|blocks)\*\*"
            assert re.search(counted, (folder / "README.md").read_text())
            assert re.search(counted, (PROJECT / "README.md").read_text())

    def test_the_configuration_is_todays(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = f"{folder.name}.yaml"
        (path,) = PROJECT.glob(f"config/benchmarks/**/{name}")
        monkeypatch.chdir(PROJECT)
        assert read_benchmark(folder / name) == read_benchmark(path)

    def test_its_figures_are_there(self, folder: Path) -> None:
        benchmark = read_benchmark(folder / f"{folder.name}.yaml")
        drawn = {path.stem for path in (folder / "figures").glob("*")}
        # A benchmark may draw none.
        published = {"trade_off", "recall_by_class_size", "critical_difference", "separability"}
        assert drawn == published & set(benchmark.figures)

    def test_the_commands_that_made_it_can_be_run_again(self, folder: Path) -> None:
        manifest = read_json(folder / "manifest.json")
        own = [block["command"] for block in manifest["blocks"].values() if "command" in block]
        for command in [manifest["command"], *manifest["commands"].values(), *own]:
            words = [word for word in shlex.split(command) if not word.startswith("DRUGTAIL_PLAN=")]
            snakemake = words[0] == "snakemake" and "--configfile" in words
            assert snakemake or words[:2] in (["drugtail", "train"], ["drugtail", "ensemble"])

    def test_its_cpu_hours_are_those_of_its_manifest(self, folder: Path) -> None:
        said = re.findall(r"([\d.]+) CPU hours of training", (folder / "README.md").read_text())
        assert said in ([], [f"{cpu_hours(folder):.1f}"])

    def test_no_file_names_a_folder_of_the_machine_it_was_made_on(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for machine in ("/tmp/", "/home/", f"{Path.home()}/"):
                    assert machine.encode() not in content


def cpu_hours(folder: Path) -> float:
    return float(read_json(folder / "manifest.json")["training_cpu_seconds"]) / 3600


def test_the_study_says_what_its_parts_cost() -> None:
    rows = [row for row in table_rows((PROJECT / "docs/study.md").read_text()) if "CPU" in row]
    assert len(rows) == 3
    for row in rows:
        folders = re.findall(r"results/published/(\w+)/README", row)
        (said,) = re.findall(r"([\d.]+) CPU hours", row)
        parts = [cpu_hours(PROJECT / "results/published" / name) for name in folders]
        assert said == f"{sum(parts):.1f}", row


def test_what_is_published_is_small() -> None:
    files = [path for path in (PROJECT / "results/published").rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 1_000_000
    # The study publishes what its tables are made of, a megabyte for 59 methods on a data set, of
    # which there are four. Four benchmarks of part C, two splits each, take another one.
    assert sum(path.stat().st_size for path in files) < 9_500_000
    for folder in FOLDERS:
        assert len(list((folder / "figures").glob("*"))) <= 3


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_published_can_be_read_back_and_gives_its_tables_again(
    folder: Path, tmp_path: Path
) -> None:
    other = retabulate([folder], CATALOGUE, tmp_path)
    assert other
    assert not any(other.values()), other
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in (folder / "tables").iterdir()}


def part_of(published: Path, folder: Path, datasets: list[str]) -> Path:
    """Some data sets of a published benchmark, published alone."""
    shutil.copytree(published, folder)
    for path in [folder / "predictions.parquet", *folder.glob("metrics/*.parquet")]:
        frame = read_parquet(path)
        chosen = frame[frame["dataset"].isin(datasets)]
        write_parquet(path, chosen, read_parquet_metadata(path))
        if path.stem == "runs":
            runs = int((chosen["status"] == "finished").sum())
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", {**manifest, "runs": runs})
    return folder


def test_parts_on_other_data_sets_make_the_tables_of_all(tmp_path: Path) -> None:
    whole = PROJECT / "results/published/regularisation"
    first, *others = read_parquet(whole / "metrics/runs.parquet")["dataset"].unique()
    assert others
    one = part_of(whole, tmp_path / "one/regularisation", [first])
    two = part_of(whole, tmp_path / "two", others)
    assert any(retabulate([one], CATALOGUE).values())
    assert not any(retabulate([one, two], CATALOGUE, tmp_path / "tables").values())
    with pytest.raises(DrugtailError, match="name a folder for the new ones: --output"):
        retabulate([one, two], CATALOGUE)
    with pytest.raises(DrugtailError, match=r"run .* stands in .*/one/regularisation and .*/two"):
        retabulate([one, part_of(whole, tmp_path / "again/two", [first])], CATALOGUE, tmp_path)
    # Both headers keep their entries for one data set, too.
    for folder, name in ((one, "acids"), (two, "bases")):
        path = folder / "metrics/runs.parquet"
        header = {**read_parquet_metadata(path), "left_out": {"any": {"valid": [name]}}}
        write_parquet(path, read_parquet(path), header)
    read_back([one, two], tmp_path / "both")
    header = read_parquet_metadata(tmp_path / "both/runs.parquet")
    assert header["left_out"] == {"any": {"valid": ["acids", "bases"]}}


def test_the_command_says_which_tables_differ(tmp_path: Path) -> None:
    folder = tmp_path / "splits"
    shutil.copytree(PROJECT / "results/published/splits", folder)
    path = sorted((folder / "tables").glob("*.md"))[0]
    path.write_text(path.read_text().replace("1", "2"))
    done = subprocess.run(
        [Path(sys.executable).with_name("drugtail"), "retabulate", folder],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{path.stem}: {path.name} differ\n" in done.stdout
    assert f"drugtail: error: {folder}/tables: {path.name}: missing, changed since" in done.stderr
    elsewhere = tmp_path / "renamed"
    folder.rename(elsewhere)
    assert retabulate([elsewhere], CATALOGUE) == {path.stem: [path.name]}
    with pytest.raises(DrugtailError, match="splits: is no folder that `drugtail publish` wrote"):
        retabulate([folder], CATALOGUE)
    (elsewhere / "predictions.parquet").unlink()
    with pytest.raises(DrugtailError, match=r"predictions\.parquet"):
        retabulate([elsewhere], CATALOGUE)


def test_predictions_of_other_runs_are_not_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "regularisation"
    shutil.copytree(PROJECT / "results/published/regularisation", folder)
    table = pd.read_parquet(folder / "predictions.parquet")
    table["gcn/decay_1e1/1"] = table["gcn/decay_1e1/0"]
    table.to_parquet(folder / "predictions.parquet")
    with pytest.raises(DrugtailError, match=r"do not belong together: run .*/gcn/decay_1e1/1, cla"):
        read_back([folder], tmp_path / "metrics")


@pytest.mark.parametrize(
    "page", sorted(PROJECT.glob("results/published/*/README.md")), ids=lambda page: page.parent.name
)
def test_a_page_beside_the_tables_quotes_their_rows(page: Path) -> None:
    """Every table row below the mark stands in a published table, here or beside."""
    published = {
        row
        for pattern in (
            "*/tables/*.md",
            "clustering/clustering.md",
            "speed/bench.md",
            "faults/faults.md",
        )
        for path in PROJECT.glob(f"results/published/{pattern}")
        for row in table_rows(path.read_text())
    }
    quoted = re.findall(r"(?m)^<!-- from tables -->\n((?:\|.*\n)+)", page.read_text())
    assert quoted or not table_rows(page.read_text())
    for block in quoted:
        assert set(table_rows(block)) <= published
