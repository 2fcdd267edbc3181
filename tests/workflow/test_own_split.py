"""docs/extending.md on splits, word for word, but on the tiny data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from project import PROJECT, Project, listed_jobs
from walkthrough import changed, follow, section

from drugtail.runtime.files import read_json

PAGE = PROJECT / "docs/extending.md"
# What a reader with other data would change.
CHANGES = {"datasets: [demo]": "datasets: [tiny]\nfigures: []\ntables: [head_tail]"}
CONFIG = "my/splits.yaml"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which the section was followed to the end, and what its commands said."""
    text = section(PAGE.read_text(encoding="utf-8"), "A split strategy")
    return follow(changed(text, CHANGES), tmp_path_factory.mktemp("split"))


@pytest.fixture
def changeable(followed: tuple[Project, str], tmp_path: Path) -> Project:
    shutil.copytree(followed[0].folder, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


def snakemake(project: Project, *arguments: str, check: bool = True) -> str:
    words = ("snakemake", *arguments, "--cores", "2", "--configfile", CONFIG)
    return project.run(*words, check=check).stdout


def test_the_split_is_what_its_file_says(followed: tuple[Project, str]) -> None:
    project, said = followed
    assert "good, 2 training jobs" in said
    folder = project.folder / "results"
    molecules = pd.read_parquet(folder / "data/tiny/molecules.parquet").set_index("id")
    (cut,) = (folder / "splits/tiny").glob("plugin-*/by_length-0.parquet")
    subsets = pd.read_parquet(cut).set_index("id")["subset"]
    assert set(subsets) == {"train", "valid", "test"}
    for _, members in molecules.groupby("label"):
        length = members["smiles"].str.len()
        tested = length[subsets[members.index] == "test"]
        assert len(tested) == len(members) - int(0.9 * len(members))
        assert tested.min() >= length[subsets[members.index] != "test"].max()
    summary = read_json(cut.with_suffix(".json"))
    assert (summary["strategy"], summary["seed"]) == ("by_length", 0)
    table = (folder / "tables/lengths/head_tail.md").read_text()
    assert table in said
    assert [line for line in table.splitlines() if "| by_length-0" in line]


def test_a_change_of_the_file_cuts_its_split_again_and_no_other(changeable: Project) -> None:
    assert listed_jobs(snakemake(changeable, "--dry-run")) == {}
    (before,) = (changeable.folder / "results/runs/tiny/by_length-0/morgan").iterdir()
    changeable.edit("my/by_length.py", "[rank > 0.9,", "[rank > 0.8,")
    jobs = listed_jobs(snakemake(changeable, "tables", "--dry-run"))
    assert (jobs["split_dataset"], jobs["train_classical"]) == (1, 1)
    assert "prepare_dataset" not in jobs
    snakemake(changeable, "tables")
    folders = list((changeable.folder / "results/runs/tiny/by_length-0/morgan").iterdir())
    assert len(folders) == 2
    assert before in folders
    # As it was, it is there still.
    changeable.edit("my/by_length.py", "[rank > 0.8,", "[rank > 0.9,")
    assert "train_classical" not in listed_jobs(snakemake(changeable, "tables", "--dry-run"))


def test_a_strategy_of_ones_own_needs_its_file(changeable: Project) -> None:
    changeable.edit(CONFIG, "plugins: [my/by_length.py]\n", "")
    said = snakemake(changeable, "--dry-run", check=False)
    assert "splits: by_length-0: there is no split strategy 'by_length'" in said
    assert "needs its file in `plugins`" in said
    assert "Traceback" not in said


def test_a_cut_that_is_none_ends_the_run_with_the_reason(changeable: Project) -> None:
    changeable.edit("my/by_length.py", '"valid"], "train")', '"validation"], "train")')
    said = snakemake(changeable, "tables", check=False)
    assert "split by_length-0 of tiny puts molecule" in said
    assert "into 'validation'; use train, valid, test, unused" in said


def test_an_error_in_a_cut_is_one_line_with_its_place(changeable: Project) -> None:
    changeable.edit("my/by_length.py", 'groups["smiles"]', 'groups["smile"]')
    said = snakemake(changeable, "tables", check=False)
    assert "split by_length-0 of tiny: my/by_length.py: line 16: KeyError: 'smile'" in said
    assert "Traceback" not in said


def test_the_file_is_checked_while_jobs_wait(changeable: Project) -> None:
    plan = changeable.plan(CONFIG)
    kept = changeable.folder / "results/plans" / plan.file_name
    assert kept.is_file()
    changeable.edit("my/by_length.py", '"""A split', '"""The split')
    (block,) = (one for one in plan.blocks() if one.split == "by_length-0")
    done = changeable.run(
        "env", f"DRUGTAIL_PLAN={kept}", "drugtail", "evaluate", "--block", block.path,
        "--predictions", f"results/runs/{block.path}/predictions.parquet",
        "--metrics", "metrics.parquet", "--classes", "classes.parquet", check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "my/by_length.py: has changed since" in done.stdout
