"""config/methods/own.md, word for word, but on the tiny data and for fewer epochs."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from project import PROJECT, Project, listed_jobs, make_project
from walkthrough import shown_commands, shown_files

from drugtail.runtime.digest import file_digest
from drugtail.runtime.files import read_json

PAGE = PROJECT / "config/methods/own.md"
# What a reader with other data and less time would change.
CHANGES = {
    "datasets: [demo]": "datasets: [tiny]\nfigures: []\ntables: [head_tail]",
    "training: {epochs: 20, schedule_scale: 0.2}": "training: {epochs: 2, batch_size: 16}",
}


def page() -> str:
    text = PAGE.read_text(encoding="utf-8")
    for old, new in CHANGES.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def files() -> dict[str, str]:
    """Path -> content of the files that the page shows."""
    return shown_files(page())


def commands() -> list[str]:
    """The commands of the page, in order."""
    return shown_commands(page())


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, str]]:
    """A project in which the page was followed to the end, and what each command said."""
    project = make_project(tmp_path_factory.mktemp("own"))
    (project.folder / ".venv").symlink_to(sys.prefix)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "tests", project.folder / "tests", ignore=ignored)
    (project.folder / "my").mkdir()
    for path, content in files().items():
        (project.folder / path).write_text(content, encoding="utf-8")
    return project, {line: project.run("bash", "-c", line).stdout for line in commands()}


def said(followed: tuple[Project, dict[str, str]], word: str) -> str:
    """What the one command with this word said."""
    (text,) = [text for line, text in followed[1].items() if word in line]
    return text


def test_the_page_shows_whole_files_and_commands() -> None:
    assert set(files()) == {"my/poly1.py", "my/poly1.yaml", "my/benchmark.yaml", "my/new.csv"}
    assert [line.split()[:2] for line in commands()][-2:] == [
        [".venv/bin/snakemake", "--configfile"],
        [".venv/bin/drugtail", "predict"],
    ]


def test_checks_plan_and_contract_are_content(followed: tuple[Project, dict[str, str]]) -> None:
    assert said(followed, "check --method") == "my/poly1.yaml: good\n"
    assert "good, 3 training jobs" in said(followed, "check my/benchmark.yaml")
    assert "runs: 6" in said(followed, "plan")
    assert re.search(r"\b\d+ passed", said(followed, "pytest"))


def test_the_method_and_its_variant_stand_in_the_table(
    followed: tuple[Project, dict[str, str]],
) -> None:
    table = (followed[0].folder / "results/tables/my_loss/head_tail.md").read_text()
    assert table in said(followed, "snakemake")
    rows = [re.split(r" *\| *", line)[3:5] for line in table.splitlines() if "| tiny" in line]
    assert rows == [["cross_entropy", "2"], ["poly1", "2"], ["poly1_strong", "2"]]


def test_the_runs_differ_by_the_loss_alone_and_name_the_file(
    followed: tuple[Project, dict[str, str]],
) -> None:
    (config,) = (path for path in files() if path.startswith("my/") and "methods:" in files()[path])
    losses = {}
    for method, epsilon in {"cross_entropy": None, "poly1": 2.0, "poly1_strong": 5.0}.items():
        folder = followed[0].block(method, config)
        manifest = read_json(folder / "manifest.json")
        assert manifest["settings"]["recipe"]["loss"].get("epsilon") == epsilon
        if epsilon is not None:
            digest = file_digest(followed[0].folder / "my/poly1.py")
            assert manifest["inputs"]["plugin my/poly1.py"] == {
                "path": "my/poly1.py",
                "sha256": digest,
            }
        history = pd.read_parquet(folder / "history.parquet")
        losses[method] = history.query("epoch == 0")["loss"].mean()
    # Each molecule of three classes adds about 2/3 epsilon at first.
    assert losses["poly1"] > losses["cross_entropy"] + 0.5
    assert losses["poly1_strong"] > losses["poly1"] + 0.5


def test_new_molecules_are_classified_without_the_file(
    followed: tuple[Project, dict[str, str]],
) -> None:
    out = pd.read_csv(followed[0].folder / "my/classes.csv")
    assert out["drugtail_class"].isin(["alcohol", "amine", "bromide"]).tolist() == [True]


def test_a_change_of_the_file_trains_its_methods_again_and_no_other(
    followed: tuple[Project, dict[str, str]], tmp_path: Path
) -> None:
    project = Project(tmp_path / "changed")
    shutil.copytree(followed[0].folder, project.folder, symlinks=True)
    (run,) = [line for line in commands() if "snakemake" in line]
    assert listed_jobs(project.run("bash", "-c", f"{run} --dry-run").stdout) == {}
    project.edit("my/poly1.py", "settings.epsilon * (1", "2 * settings.epsilon * (1")
    before = (project.folder / "results/metrics/my_loss/runs.parquet").stat().st_mtime
    log = project.run("bash", "-c", run.replace("snakemake", "snakemake tables")).stdout
    trained = re.findall(r"Training (\S+) on", log)
    assert sorted(set(trained)) == ["poly1", "poly1_strong"]
    assert (project.folder / "results/metrics/my_loss/runs.parquet").stat().st_mtime > before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # Noticed before anything runs, and in the job that trains.
        (
            "from pydantic import Field", "from pydantic import Feild",
            "my/poly1.py: line 5: ImportError: cannot import name 'Feild'",
        ),
        (
            "losses + settings.epsilon", "looses + settings.epsilon",
            "loss 'poly1': my/poly1.py: line 23: NameError: name 'looses' is not defined",
        ),
    ],
)  # fmt: skip
def test_a_fault_in_the_file_is_said_in_one_line(
    followed: tuple[Project, dict[str, str]], tmp_path: Path, old: str, new: str, said: str
) -> None:
    project = Project(tmp_path / "faulty")
    shutil.copytree(followed[0].folder, project.folder, symlinks=True)
    project.edit("my/poly1.py", old, new)
    (run,) = [line for line in commands() if "snakemake" in line]
    refused = project.run("bash", "-c", run.replace("snakemake", "snakemake train"), check=False)
    assert refused.returncode != 0
    assert said in refused.stdout
    assert "Traceback" not in refused.stdout
