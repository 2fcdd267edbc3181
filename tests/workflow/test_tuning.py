"""Tuning in the workflow: real Snakemake on the tiny project, its default runs there already."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from project import TINY_BENCHMARK, Project, listed_jobs

from drugtail.runtime.files import read_json
from drugtail.runtime.names import parse_block_folder
from drugtail.runtime.parquet import read_parquet_metadata

FOREST = "{name: random_forest, settings: {classifier.n_estimators: 10}}"
# One that is tuned, one that has three points to try, and one that is left as it is.
METHODS = (
    f"methods: [cross_entropy, {FOREST}, {{name: plain, recipe: cross_entropy, tuned: false}}]"
)
TUNED_BENCHMARK = re.sub(
    r"methods: .*\}\]",
    f"{METHODS}\ntuning: {{trials: 2, seeds: 0-0}}\nprior_corrections: [1.0]\nfigures: []",
    TINY_BENCHMARK,
    flags=re.DOTALL,
).replace("name: tiny\n", "name: best\n", 1)
CONFIG = "config/best.yaml"
TUNING = "results/tuning/tiny/random-0"


def snakemake(project: Project, *arguments: str) -> str:
    return project.run("snakemake", *arguments, "--cores", "2", "--configfile", CONFIG).stdout


def jobs(project: Project) -> dict[str, int]:
    return listed_jobs(snakemake(project, "--dry-run"))


@pytest.fixture(scope="module")
def tuned(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The finished project after a benchmark that tunes; not to be changed."""
    folder = tmp_path_factory.mktemp("tuned") / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    # The copied store names the folder of the finished project for its artifacts.
    shutil.rmtree(folder / "results/mlflow")
    project = Project(folder)
    (folder / CONFIG).write_text(TUNED_BENCHMARK)
    (folder / "tuned.log").write_text(snakemake(project))
    return project


def tuning(project: Project, method: str) -> Path:
    """Folder of a method's tuning."""
    block = project.block(method, CONFIG)
    return project.folder / "results/tuning" / Path(*block.parts[-5:-1])


@pytest.fixture
def copy(tuned: Project, tmp_path: Path) -> Project:
    """A copy of the tuned project that a test may change."""
    shutil.copytree(tuned.folder, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


def test_tuned_runs_lie_beside_default_ones(tuned: Project, finished: Project) -> None:
    folders = [
        "/".join([path.parent.name, parse_block_folder(path.name)[0]])
        for path in (tuned.folder / "results/runs/tiny/random-0").glob("*/*")
    ]
    assert sorted(folders) == [
        "gcn/class_distance", "gcn/cross_entropy", "gcn/cross_entropy", "gcn/plain",
        "morgan/random_forest", "morgan/random_forest",
    ]  # fmt: skip
    default = finished.block("cross_entropy") / "predictions.parquet"
    here = tuned.folder / default.relative_to(finished.folder)
    assert here.read_bytes() == default.read_bytes()
    header = read_parquet_metadata(tuned.block("cross_entropy", CONFIG) / "predictions.parquet")
    assert (header["method"], header["settings"]) == ("cross_entropy", "tuned")


def test_a_correction_is_of_the_settings_that_were_chosen(tuned: Project) -> None:
    path = tuned.folder / "results/metrics/best/runs.parquet"
    even = "random_forest" in read_parquet_metadata(path)["even"]
    chosen = read_json(tuned.block("random_forest", CONFIG) / "manifest.json")["settings"]
    weighted = chosen["recipe"]["classifier"]["class_weight"] is not None
    assert even == weighted
    rows = pd.read_parquet(path)
    found = rows.loc[rows["method"] == "random_forest+prior_1", "settings"]
    assert (set(found) == {"tuned"}) != weighted
    both = set(rows.loc[rows["method"].str.startswith("cross_entropy"), "method"])
    assert both == {"cross_entropy", "cross_entropy+prior_1"}


def test_what_was_tuned_is_what_was_trained(tuned: Project) -> None:
    best = read_json(tuning(tuned, "cross_entropy") / "best.json")
    assert (best["trials"], best["seeds"]) == (2, [0])
    assert len(pd.read_parquet(tuning(tuned, "random_forest") / "trials.parquet")) == 2
    assert not tuning(tuned, "plain").exists()
    run = tuned.block("cross_entropy", CONFIG)
    training = read_json(run / "manifest.json")["settings"]["training"]
    assert training["learning_rate"] == best["changes"]["training.learning_rate"]
    assert training["epochs"] == 4
    forest = tuned.block("random_forest", CONFIG)
    # What the benchmark sets is kept.
    assert (
        read_json(forest / "manifest.json")["settings"]["recipe"]["classifier"]["n_estimators"]
        == 10
    )


def test_a_second_start_has_nothing_to_do(tuned: Project) -> None:
    assert jobs(tuned) == {}
    assert tuned.jobs_to_run() == {"track_runs": 1}


def test_tables_and_page_tell_which_settings_are_tuned(tuned: Project) -> None:
    results = tuned.folder / "results"
    runs = pd.read_parquet(results / "metrics/best/runs.parquet").set_index("method")["settings"]
    assert runs["cross_entropy"].tolist() == ["tuned", "tuned"]
    assert runs["plain"].tolist() == ["default", "default"]
    table = (results / "tables/best/head_tail.md").read_text()
    assert re.search(r"\| Method +\| Settings \|", table)
    assert re.search(r"\| cross_entropy +\| tuned +\|", table)
    assert re.search(r"\| plain +\| default +\|", table)
    assert "chosen by balanced accuracy on validation molecules" in table
    csv = pd.read_csv(results / "tables/best/trade_off.csv")
    # Differences are taken against the reference as it was trained here; a correction carries the
    # settings of the runs that it corrects.
    assert dict(csv[["method", "settings"]].to_numpy()) == {
        method: runs[method].iloc[0] for method in runs.index.unique() if method != "cross_entropy"
    }
    assert {"random_forest", "plain", "cross_entropy+prior_1"} <= set(csv["method"])
    page = (results / "page/best/index.html").read_text()
    assert "Settings of 4 runs are tuned" in page
    assert "2 trials of each method" in page
    best = read_json(tuning(tuned, "cross_entropy") / "best.json")
    (row,) = re.findall(r"<td>cross_entropy</td><td>gcn</td><td>(training\.learning_rate.*)", page)
    assert f"training.learning_rate {best['changes']['training.learning_rate']:.4g}" in row
    assert f"<td>{best['trial']} of 2</td><td>{100 * best['default_score']:.1f}</td>" in row


def test_without_tuning_tables_have_no_new_column_and_say_defaults(finished: Project) -> None:
    table = (finished.folder / "results/tables/tiny/head_tail.md").read_text()
    assert "| Settings" not in table
    assert "none was tuned" in table
    assert "settings" not in pd.read_csv(finished.folder / "results/tables/tiny/head_tail.csv")
    page = (finished.folder / "results/page/tiny/index.html").read_text()
    assert "none was tuned" in page
    assert "What tuning chose" not in page


def test_default_and_tuned_runs_of_one_method_make_two_rows(copy: Project) -> None:
    folders = [
        copy.block("cross_entropy"), copy.block("cross_entropy", CONFIG),
        copy.block("class_distance"),
    ]  # fmt: skip
    blocks = [str(folder.relative_to(copy.folder)) for folder in folders]
    copy.run("drugtail", "collect", *blocks, "--output", "both")
    for name in ("head_tail", "classes"):
        table = f"config/tables/{name}.yaml"
        copy.run("drugtail", "tabulate", "--metrics", "both", "--table", table, "--output", name)
    rows = pd.read_csv(copy.folder / "head_tail.csv")
    assert rows[["method", "settings", "runs"]].to_numpy().tolist() == [
        ["cross_entropy", "default", 2], ["cross_entropy", "tuned", 2],
        ["class_distance", "default", 2],
    ]  # fmt: skip
    rows = pd.read_csv(copy.folder / "classes.csv").drop_duplicates(["method", "settings"])
    assert rows["settings"].tolist() == ["default", "tuned", "default"]
    copy.run(
        "drugtail",
        "plot",
        "recall_by_class_size",
        "--classes",
        "both/class_metrics.parquet",
        "--output",
        "f",
    )
    assert "cross_entropy+tuned" in (copy.folder / "f.svg").read_text()
    # A default block where the plan wants a tuned one.
    shutil.rmtree(folders[1])
    shutil.copytree(folders[0], folders[1])
    (plan,) = (copy.folder / "results/plans").glob("best-*.json")
    refused = copy.run(
        "env", f"DRUGTAIL_PLAN={plan}", "drugtail", "collect", blocks[1], "--output", "wrong",
        check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert "the benchmark wants tuned settings, but it was trained with default" in refused.stdout


def test_tracking_tags_what_is_tuned(tuned: Project) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{tuned.folder}/results/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("best")
    found = client.search_runs([experiment.experiment_id], "tags.settings = 'tuned'")
    assert sorted(run.data.tags["method"] for run in found) == [
        "cross_entropy", "cross_entropy", "random_forest", "random_forest",
    ]  # fmt: skip


def test_plan_counts_tuning(tuned: Project) -> None:
    done = tuned.run("drugtail", "plan", "--config", CONFIG).stdout
    assert "tuning jobs: 2, of which 2 are finished; 4 trials of seeds 0-0" in done
    assert "time left: none" in done
    assert "to be trained again" not in done
    more = tuned.folder / "config/more.yaml"
    more.write_text(
        TUNED_BENCHMARK.replace("trials: 2", "trials: 9").replace("random-0", "random-1")
    )
    plan = tuned.run("drugtail", "plan", "--config", "config/more.yaml").stdout
    # Nine of the network, and three of the forest, which has three points.
    assert "tuning jobs: 2, of which 0 are finished; 12 trials" in plan
    (work,) = re.findall(r"work left: ([\d,]+)", plan)
    molecules = int(work.replace(",", ""))
    # Tuning 9 trials x 4 epochs and 3 x 1, one seed; training 2 x 4 and 1 x 1 epochs, two seeds.
    assert molecules % (9 * 4 + 3 + 2 * (2 * 4 + 1)) == 0


def test_a_space_tunes_that_method_again_and_trains_no_default_run(copy: Project) -> None:
    file = "config/methods/baseline/cross_entropy.yaml"
    path = copy.folder / file
    path.write_text(
        path.read_text() + "tuning: {training.learning_rate: {low: 0.0005, high: 0.002}}\n"
    )
    planned = jobs(copy)
    assert planned["tune_method"] == 1
    assert "train_classical" not in planned
    # Not the runs by default, and not `plain` of the same recipe.
    assert planned["train_network"] == 1
    assert "train_network" not in copy.jobs_to_run()


def test_more_trials_go_on_from_those_there_are(copy: Project) -> None:
    copy.edit(CONFIG, "trials: 2", "trials: 3")
    target = str((tuning(copy, "cross_entropy") / "best.json").relative_to(copy.folder))
    log = snakemake(copy, target)
    assert "continues after 2 of 3 trials" in log
    assert read_json(copy.folder / target)["trials"] == 3


def test_a_job_that_is_killed_goes_on_from_its_trials(copy: Project) -> None:
    copy.edit(CONFIG, "trials: 2", "trials: 40")
    folder = tuning(copy, "cross_entropy")
    target = str((folder / "best.json").relative_to(copy.folder))
    process = subprocess.Popen(
        ["snakemake", target, "--cores", "1", "--configfile", CONFIG],
        cwd=copy.folder, env=copy.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    journal = folder / "journal.json"
    while not journal.is_file() or len(read_json(journal)["trials"]) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = read_json(journal)["trials"]
    copy.edit(CONFIG, "trials: 40", f"trials: {len(done) + 1}")
    copy.run("snakemake", "--unlock", "--configfile", CONFIG)
    folder = tuning(copy, "cross_entropy")
    log = snakemake(copy, str((folder / "best.json").relative_to(copy.folder)))
    assert f"continues after {len(done)} of {len(done) + 1} trials" in log
    assert read_json(folder / "journal.json")["trials"][: len(done)] == done


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("trials: 2", "trials: 0", r"key tuning\.trials: must be at least 1"),
        ("seeds: 0-0", "seeds: 2-0", r"key tuning\.seeds: '2-0' is not a block of seeds"),
        ("name: plain", "name: plain+tuned", r"'plain\+tuned' must not end in \+tuned"),
    ],
)
def test_a_wrong_configuration_is_refused(tuned: Project, old: str, new: str, says: str) -> None:
    wrong = tuned.folder / "config/wrong.yaml"
    wrong.write_text(TUNED_BENCHMARK.replace(old, new))
    refused = tuned.run("drugtail", "check", "config/wrong.yaml", check=False)
    assert refused.returncode == 1
    assert re.search(says, refused.stdout), refused.stdout
