"""`drugtail recommend`: from a table to an answer, a model and a page, in one command."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from class_smiles import smiles_of_class
from project import Project, listed_jobs, make_project

SIZES = {"acid": 60, "amine": 30, "sulfonamide": 16}
COMMAND = ("drugtail", "recommend", "mine.csv", "--workers", "2")
BENCHMARK = "config/benchmarks/recommend_mine.yaml"


def write_table(project: Project, name: str = "mine.csv", **sizes: int) -> None:
    rows = [
        {"id": f"m{label}-{i}", "structure": smiles, "use": use}
        for label, (use, size) in enumerate({**SIZES, **sizes}.items())
        for i, smiles in enumerate(smiles_of_class(label, size))
    ]
    frame = pd.DataFrame(rows).sample(frac=1, random_state=0)
    frame.to_csv(project.folder / name, index=False)


def workers_in(folder: Path) -> list[psutil.Process]:
    """Processes of Python that are at work in a folder."""
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["cwd"] == str(folder) and "python" in process.info["name"]:
            found.append(process)
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str, str]:
    """A project whose recommendation was killed, refused to a second start, and started again."""
    project = make_project(tmp_path_factory.mktemp("recommended"))
    write_table(project)
    first = subprocess.Popen(
        COMMAND, cwd=project.folder, env=project.environment, text=True, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert first.stderr is not None
    for line in first.stderr:
        if line.startswith("[3/"):
            break
    refused = project.run(*COMMAND, check=False)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    for _ in range(100):
        if not workers_in(project.folder):
            break
        time.sleep(0.2)
    assert not workers_in(project.folder), "workers outlive the command that was killed"
    said = project.run(*COMMAND).stdout
    return project, refused.stdout, said


@pytest.fixture
def recommended(killed: tuple[Project, str, str]) -> Project:
    return killed[0]


def test_it_goes_on_where_it_was_killed_and_does_not_run_twice_at_once(
    killed: tuple[Project, str, str],
) -> None:
    _, refused, said = killed
    assert "another `drugtail recommend` is at work in this folder" in refused
    found = re.search(r"40 blocks: (\d+) finished, (\d+) left", said)
    assert found is not None, said
    assert int(found[1]) + int(found[2]) == 40
    assert 3 <= int(found[1]) < 40


def test_it_says_what_to_take_what_that_costs_and_what_cannot_be_judged(
    killed: tuple[Project, str, str],
) -> None:
    project, _, said = killed
    runs = pd.read_parquet(project.folder / "results/metrics/recommend_mine/runs.parquet")
    scores = runs.groupby(["method", "encoder"])["valid_balanced_accuracy"].mean()
    used = re.search(r"^Use (\S+) on (\S+)$", said, re.MULTILINE)
    assert used is not None, said
    assert scores[used[1], used[2]] == pytest.approx(scores.max())
    tested = runs.groupby(["method", "encoder"])["test_balanced_accuracy"].mean()
    assert f"balanced accuracy {100 * tested[used[1], used[2]]:.1f} [" in said
    for name in SIZES:
        assert re.search(rf"^  {name} +(head|middle|tail) ", said, re.MULTILINE), said
    assert re.search(r"Too few to judge: fewer than 12 parent compounds tested: \w+", said)
    assert "; guessing has 33.3\n" in said
    command = re.search(r"^predict   (\S+) predict ", said, re.MULTILINE)
    assert command is not None
    # By its name where the shell finds this environment's, else by its place.
    found = shutil.which(command[1], path=project.environment["PATH"])
    assert found == str(Path(sys.executable).with_name("drugtail"))
    assert (project.folder / "results/page/recommend_mine/index.html").is_file()


def test_the_workflow_has_nothing_left_to_do(recommended: Project) -> None:
    words = ("--cores", "2", "--configfile", BENCHMARK, "--dry-run")
    assert listed_jobs(recommended.run("snakemake", "page", *words).stdout) == {}


def test_numbers_are_those_of_the_workflow(recommended: Project, tmp_path: Path) -> None:
    project = make_project(tmp_path)
    for name in ("mine.csv", "config/datasets/mine.yaml", BENCHMARK):
        (project.folder / name).write_bytes((recommended.folder / name).read_bytes())
    ensemble = recommended.block("prior_adjusted_ensemble", BENCHMARK)
    block = ensemble.relative_to(recommended.folder)
    target = str(block / "metrics.parquet")
    project.run("snakemake", target, "--cores", "2", "--configfile", BENCHMARK)
    for file in ("predictions.parquet", "metrics.parquet", "class_metrics.parquet"):
        one, two = (pd.read_parquet(p.folder / block / file) for p in (project, recommended))
        pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_the_model_answers_as_the_mean_of_its_five_folds(recommended: Project) -> None:
    from drugtail import load_model

    asked = ["CCCN", "CCOC(=O)O"]
    model = recommended.folder / "results/metrics/recommend_mine"
    found = load_model(model, split="all").predict(asked, nearest=True)
    each = [
        load_model(model, split=f"cv-0-{fold}").predict(asked, nearest=True) for fold in range(5)
    ]
    columns = [f"p_{name}" for name in SIZES]
    mean = sum(one[columns].to_numpy() for one in each) / 5
    assert found[columns].to_numpy() == pytest.approx(mean)
    nearest = np.max([one["similarity"] for one in each], axis=0)
    assert found["similarity"].to_numpy() == pytest.approx(nearest)


def said_before_training(project: Project) -> list[str]:
    """Start the command, kill it when it begins to train, and return what it said."""
    process = subprocess.Popen(
        COMMAND, cwd=project.folder, env=project.environment, text=True, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line.rstrip())
        if line.startswith("40 blocks: "):
            break
    process.kill()
    process.wait()
    return said


def test_a_damaged_block_is_made_again_and_all_are_for_another_table(
    recommended: Project, tmp_path: Path
) -> None:
    project = Project(tmp_path / "copy")
    subprocess.run(["cp", "-a", recommended.folder, project.folder], check=True)
    (project.block("lightgbm", BENCHMARK) / "manifest.json").write_text("{")
    said = said_before_training(project)
    assert said[-1] == "40 blocks: 39 finished, 1 left"
    assert said[-2].startswith("1 finished block outdated and trained again: ")
    write_table(project, sulfonamide=20)
    said = said_before_training(project)
    assert "reading the molecules of mine" in said
    assert said[-1] == "40 blocks: 0 finished, 40 left"
    assert said[-2].endswith("trained again: the table or its register has changed")


def test_a_changed_benchmark_and_a_name_that_is_taken_are_refused(
    recommended: Project, tmp_path: Path
) -> None:
    project = make_project(tmp_path)
    for name in ("mine.csv", "config/datasets/mine.yaml", BENCHMARK):
        (project.folder / name).write_bytes((recommended.folder / name).read_bytes())
    project.edit(BENCHMARK, "epochs: 40", "epochs: 50")
    said = project.run(*COMMAND, check=False).stdout
    assert "make benchmark NAME=recommend_mine" in said
    said = project.run(*COMMAND, "--label", "id", check=False).stdout
    assert "mine.yaml: is there already and says otherwise how mine.csv is read" in said
    # The same options as before are no other reading.
    said = project.run(*COMMAND, "--label", "use", check=False).stdout
    assert "says otherwise" not in said
    said = project.run(*COMMAND, "--name", "demo", check=False).stdout
    assert "config/datasets/demo.yaml: is another data set, not mine.csv" in said


def test_a_table_of_several_questions_is_asked_for_one_of_them(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    (project.folder / "assays.csv").write_text(
        "smiles,AR,ER\n" + "".join(f"{'C' * n}O,{n % 2},{n % 3 // 2}\n" for n in range(3, 60))
    )
    said = project.run("drugtail", "recommend", "assays.csv", check=False).stdout
    assert "2 columns of 0 and 1 are a question each" in said
    assert "--label AR --name assays_AR" in said
    assert not (project.folder / "config/datasets/assays.yaml").exists()
