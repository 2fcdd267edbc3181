"""Blocks of one benchmark that were trained on several machines, brought together."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from damage import DAMAGES, Damage
from project import Project, listed_jobs

DATA = ("data", "splits", "features")


def copy_results(source: Project, target: Project, *folders: str) -> None:
    for name in folders:
        shutil.copytree(
            source.folder / "results" / name, target.folder / "results" / name, dirs_exist_ok=True
        )


@pytest.fixture
def machines(
    finished: Project, new_project: Callable[[str], Project]
) -> tuple[Project, Project, Project]:
    """Where one method was trained, where the others were, and where nothing was."""
    first, second, third = map(new_project, ("first", "second", "third"))
    for project in (first, second):
        copy_results(finished, project, *DATA, "runs")
    third.snakemake("data")
    shutil.rmtree(first.block("class_distance").parent)
    for method in ("cross_entropy", "random_forest"):
        shutil.rmtree(second.block(method).parent)
    return first, second, third


def merge(project: Project, *sources: Project, check: bool = True) -> str:
    folders = [str(source.folder) for source in sources]
    done = project.run("drugtail", "merge", "--config", "config/tiny.yaml", *folders, check=False)
    assert done.returncode == (0 if check else 1), done.stdout
    return done.stdout


def test_tables_of_what_is_merged_are_those_of_one_machine(
    finished: Project, machines: tuple[Project, Project, Project]
) -> None:
    first, second, third = machines
    said = merge(third, first, second)
    assert f"0 were here, 2 from {first.folder}/results, 1 from {second.folder}/results" in said
    jobs = third.jobs_to_run()
    assert not {"train_network", "train_classical"} & set(jobs)
    assert jobs["evaluate_block"] == 3
    third.snakemake("tables")
    table = "results/tables/tiny/head_tail.csv"
    assert (third.folder / table).read_bytes() == (finished.folder / table).read_bytes()


def test_what_is_here_stays_and_what_is_nowhere_is_counted(
    machines: tuple[Project, Project, Project],
) -> None:
    first, _, third = machines
    assert "2 from" in merge(third, first)
    before = (third.block("cross_entropy") / "status.json").stat().st_mtime_ns
    said = merge(third, first)
    assert re.search(r"2 were here, 1 finished nowhere \(tiny/.*/class_distance-.*/seeds", said)
    assert "trains the other 1 block" in said
    assert (third.block("cross_entropy") / "status.json").stat().st_mtime_ns == before
    assert listed_jobs(third.snakemake("--dry-run").stdout)["train_network"] == 1


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("file", ["predictions.parquet", "history.parquet", "model.pt"])
def test_a_damaged_block_is_named_and_taken_from_elsewhere(
    finished: Project, machines: tuple[Project, Project, Project], damage: Damage, file: str
) -> None:
    first, _, third = machines
    path = first.block("cross_entropy") / file
    path.write_bytes(damage(path.read_bytes(), np.random.default_rng(0)))
    said = merge(third, first, check=False)
    assert str(path) in said
    assert "Traceback" not in said
    assert not third.block("cross_entropy").exists()
    assert third.block("random_forest").exists()
    # It is good in another folder.
    assert str(path) in merge(third, first, finished, check=False)
    pd.testing.assert_frame_equal(
        pd.read_parquet(third.block("cross_entropy") / "history.parquet"),
        pd.read_parquet(finished.block("cross_entropy") / "history.parquet"),
    )


def test_blocks_of_other_molecules_or_code_are_refused(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    project = new_project("other")
    rows = (project.folder / "tiny.csv").read_text().splitlines()
    (project.folder / "tiny.csv").write_text("\n".join(rows[:-1]) + "\n")
    project.snakemake("data")
    said = merge(project, finished, check=False)
    assert "molecules (results/data/tiny/molecules.parquet): it was made with" in said
    assert "3 refused" in said
    assert not (project.folder / "results/runs").exists()


def test_a_folder_without_results_is_refused(finished: Project, tmp_path: Path) -> None:
    done = finished.run(
        "drugtail", "merge", "--config", "config/tiny.yaml", str(tmp_path), check=False
    )
    assert done.returncode == 1
    assert f"{tmp_path}: holds no results" in done.stdout
