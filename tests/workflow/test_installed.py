"""The wheel alone, without a clone: a project folder, its workflow, its catalogue."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from project import PROJECT, TINY_DATASET, listed_jobs, run_in, tiny_table

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed; the packages it needs are the environment's."""
    folder = tmp_path_factory.mktemp("installed")
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "wheel")
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    install = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target")
    subprocess.run([*install, folder / "packages", wheel], check=True, capture_output=True)
    return folder / "packages"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run a command as it is installed, in a folder far from any clone."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(installed), "PATH": path}
    environment.pop("DRUGTAIL_PLAN", None)

    def call(*command: str, folder: str = ".", **how: bool) -> subprocess.CompletedProcess[str]:
        return run_in(tmp_path / folder, environment, *command, **how)

    return call


def test_a_project_without_a_clone_runs_the_workflow_and_reads_its_own_catalogue(
    run: Run, installed: Path, tmp_path: Path
) -> None:
    where = run(sys.executable, "-c", "import drugtail; print(drugtail.__file__)").stdout
    assert Path(where.strip()).is_relative_to(installed)
    assert "snakemake" in run("drugtail", "init", "mine").stdout
    project = tmp_path / "mine"
    catalogue = {p.relative_to(PROJECT) for p in PROJECT.glob("config/**/*.yaml")}
    assert {p.relative_to(project) for p in project.glob("config/**/*.yaml")} == catalogue
    planned = listed_jobs(run("snakemake", "--dry-run", folder="mine").stdout)
    assert planned["train_network"] >= 1, "the demo"

    (project / "tiny.csv").write_text(tiny_table())
    (project / "config/datasets/tiny.yaml").write_text(TINY_DATASET)
    recipe = project / "config/methods/classical/random_forest.yaml"
    mine = yaml.safe_load(recipe.read_text()) | {"name": "small_forest"}
    mine["classifier"]["n_estimators"] = 10
    (recipe.parent / "small_forest.yaml").write_text(yaml.safe_dump(mine))
    benchmark = {
        "name": "tiny", "title": "Tiny", "datasets": ["tiny"], "splits": ["random-0"],
        "methods": ["small_forest"], "reference": "small_forest", "seeds": ["0-0"],
    }  # fmt: skip
    (project / "config/tiny.yaml").write_text(yaml.safe_dump(benchmark))
    words = ("snakemake", "tables", "--configfile", "config/tiny.yaml")
    run(*words, folder="mine")
    runs = pd.read_parquet(project / "results/metrics/tiny/runs.parquet")
    assert runs["status"].tolist() == ["finished"]
    assert listed_jobs(run(*words, "--dry-run", folder="mine").stdout) == {}


def test_a_folder_that_is_there_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/molecules.csv").write_text("smiles,label\n")
    refused = run("drugtail", "init", "mine", check=False)
    assert refused.returncode == 1
    assert "mine: is there already; name a folder that is to be made" in refused.stdout
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["molecules.csv"]
