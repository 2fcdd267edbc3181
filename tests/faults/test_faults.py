"""What goes wrong on real machines: kills, full disks, folders that cannot be written."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from mlflow.tracking import MlflowClient
from project import TINY_DATASET, Project

from drugtail.runtime import turns
from drugtail.runtime.files import atomic_path


def start(project: Project, figures: bool = False, **changes: str | None) -> subprocess.Popen[str]:
    """Start the tiny benchmark with `make run`, in the environment of this test.

    Some variables may be changed, or taken out by None. Figures would take a quarter of the time.
    """
    environment = {k: v for k, v in {**project.environment, **changes}.items() if v is not None}
    venv = project.folder / ".venv"
    if not venv.exists():
        venv.symlink_to(sys.prefix)
        text = (project.folder / "config/tiny.yaml").read_text()
        if not figures:
            text += "figures: []\n"
        (project.folder / "config/config.yaml").write_text(text)
    with (project.folder / "run.log").open("a") as log:
        return subprocess.Popen(
            # The packages are those of this test: into a link nothing is installed.
            ["make", "run"],
            cwd=project.folder,
            env=environment,
            text=True,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def snakemake_of(make: subprocess.Popen[str]) -> psutil.Process:
    """The Snakemake process itself, below make and its shell."""
    below = psutil.Process(make.pid).children(recursive=True)
    (found,) = [p for p in below if p.cmdline()[1:2] and p.cmdline()[1].endswith("bin/snakemake")]
    return found


def wait_for(project: Project, pattern: str, process: subprocess.Popen[str]) -> None:
    """Wait until a file appears, or the run ends."""
    deadline = time.monotonic() + 120
    while not list(project.folder.glob(pattern)) and process.poll() is None:
        assert time.monotonic() < deadline, (project.folder / "run.log").read_text()
        time.sleep(0.02)


def metrics(project: Project) -> pd.DataFrame:
    runs = pd.read_parquet(project.folder / "results/metrics/tiny/runs.parquet")
    return runs.drop(columns="seconds").sort_values(["method", "seed"], ignore_index=True)


def test_killed_again_and_again_it_still_gives_the_same_metrics(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    project = new_project("killed")
    moments = [
        "results/data/tiny/raw/fetch.json",
        "results/features/tiny/*",
        "results/runs/tiny/random-0/*/*/seeds0-1/status.json",
        "results/runs/tiny/random-0/*/class_distance-*/seeds0-1/status.json",
        "results/metrics/tiny/runs.parquet",
    ]
    for moment in moments:
        process = start(project)
        wait_for(project, moment, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process = start(project)
    assert process.wait() == 0, (project.folder / "run.log").read_text()
    pd.testing.assert_frame_equal(metrics(finished), metrics(project), check_exact=True)
    assert "A former run was cut off; unlocking" in (project.folder / "run.log").read_text()
    assert not list(project.folder.glob("results/**/.*.part"))


@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3])
def test_a_tracking_that_is_killed_as_it_makes_its_database_is_made_up_for(
    finished: Project, new_project: Callable[[str], Project], wait: float
) -> None:
    project = new_project("tracked")
    shutil.copytree(finished.folder / "results/runs", project.folder / "results/runs")
    blocks = [str(path.parent) for path in project.folder.glob("results/runs/**/status.json")]
    command = ["drugtail", "track", *blocks, "--benchmark", "tiny"]
    process = subprocess.Popen(
        command, cwd=project.folder, env=project.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(project, "results/mlflow/*mlflow.db*", process)
    time.sleep(wait)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    said = project.run(*command).stdout
    assert re.search(r"\d+ runs added", said), said
    left = sorted(path.name for path in (project.folder / "results/mlflow").glob("*.db*"))
    assert left == ["mlflow.db"]
    assert not list((project.folder / "results/mlflow").glob(".*"))


def tracked(project: Project, benchmark: str = "tiny") -> list[str]:
    """Names of the living runs of an experiment, parents among them."""
    client = MlflowClient(f"sqlite:///{project.folder}/results/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name(benchmark)
    runs = client.search_runs([experiment.experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = [run for run in runs if run not in children]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    return sorted(run.data.tags["drugtail.run"] for run in runs)


def with_runs_of(finished: Project, new: Project) -> tuple[str, ...]:
    """Copy finished blocks into another project; the command that imports them."""
    shutil.copytree(finished.folder / "results/runs", new.folder / "results/runs")
    blocks = [
        str(path.parent.relative_to(new.folder))
        for path in new.folder.glob("results/runs/**/status.json")
    ]
    return ("drugtail", "track", *blocks, "--benchmark", "tiny")


def test_imports_at_once_add_every_run_once(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    project = new_project("at_once")
    command = with_runs_of(finished, project)
    writers = [
        subprocess.Popen(
            command, cwd=project.folder, env=project.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in range(6)
    ]  # fmt: skip
    said = [writer.communicate()[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 6, said
    added = [int(number) for one in said for number in re.findall(r"(\d+) runs added", one)]
    runs = tracked(project)
    assert len(runs) == len(set(runs)) == max(added) + 1
    assert sorted(added)[:-1] == [0] * 5
    assert any("another import is at work; waiting for it" in one for one in said)


def test_runs_that_stand_twice_are_deleted(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    project = new_project("twice")
    command = with_runs_of(finished, project)
    project.run(*command)
    once = tracked(project)
    client = MlflowClient(f"sqlite:///{project.folder}/results/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    # As two imports at once left them, before they waited for each other.
    for run in client.search_runs([experiment.experiment_id]):
        client.create_run(experiment.experiment_id, tags=run.data.tags)
    said = project.run(*command).stdout
    assert f"{len(once)} runs stood there twice; deleted" in said
    project.run(*command)
    assert tracked(project) == once


def test_a_damaged_store_is_set_aside_and_made_anew(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    project = new_project("damaged")
    command = with_runs_of(finished, project)
    project.run(*command)
    once, store = tracked(project), project.folder / "results/mlflow/mlflow.db"
    content = bytearray(store.read_bytes())
    content[4096 : len(content) // 2] = bytes(len(content) // 2 - 4096)
    for damage, kept in ((bytes(content), "damaged-1"), (b"no database" * 99, "damaged-2")):
        store.write_bytes(damage)
        said = project.run(*command).stdout
        assert f"mlflow.db: is damaged, and set aside in {store.parent}/{kept}" in said
        assert (store.parent / kept / "mlflow.db").read_bytes() == damage
        assert (store.parent / kept / "artifacts").is_dir()
        assert tracked(project) == once


def test_a_database_that_mlflow_cannot_use_is_named(finished: Project, tmp_path: Path) -> None:
    (tmp_path / "half.db").write_text("this is no database, however long one looks at it" * 20)
    block = next((finished.folder / "results/runs").glob("**/status.json")).parent
    command = ("drugtail", "track", str(block), "--uri", f"sqlite:///{tmp_path}/half.db")
    refused = finished.run(*command, "--benchmark", "x", check=False)
    assert refused.returncode == 1
    assert "half.db: is no database that MLflow can use" in refused.stdout
    assert "Traceback" not in refused.stdout


def test_jobs_that_outlive_a_killed_snakemake_do_no_harm(
    finished: Project, new_project: Callable[[str], Project]
) -> None:
    project = new_project("orphans")
    process = start(project)
    wait_for(project, "results/logs/train/tiny/random-0/gcn/*/seeds0-1.log", process)
    snakemake_of(process).kill()
    process.wait()
    process = start(project)
    assert process.wait() == 0, (project.folder / "run.log").read_text()
    assert "its jobs are still at work (process" in (project.folder / "run.log").read_text()
    pd.testing.assert_frame_equal(metrics(finished), metrics(project), check_exact=True)


def locked(folder: Path, **mark: object) -> Path:
    """Leave the locks of a run in a folder; return the mark of who holds them."""
    locks = folder / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("")
    (locks / "run.json").write_text(json.dumps(mark))
    return locks / "run.json"


def test_a_second_start_waits_for_the_first_and_for_no_run_elsewhere(
    new_project: Callable[[str], Project],
) -> None:
    project, elsewhere = new_project("twice"), new_project("elsewhere")
    first = start(project)
    wait_for(project, ".snakemake/locks/run.json", first)
    mark = json.loads((project.folder / ".snakemake/locks/run.json").read_text())
    assert mark["host"] == os.uname().nodename
    assert mark["process"] == snakemake_of(first).pid
    assert mark["executor"] == "local"
    locked(elsewhere.folder, host=os.uname().nodename, process=first.pid, started="now")
    other = elsewhere.run("drugtail", "unlock")
    assert "unlocking the folder" in other.stdout, "a run in another folder is none in this one"
    assert first.poll() is None
    # Without make, and with nothing to do: Snakemake itself would delete the locks of the first.
    plain = project.snakemake("config/tiny.yaml", check=False)
    assert plain.returncode == 1
    assert f"Another run is at work in this folder (process {mark['process']}" in plain.stdout
    assert project.snakemake("--dry-run").returncode == 0
    assert (project.folder / ".snakemake/locks/run.json").is_file()
    second = start(project)
    assert first.wait() == 0
    assert second.wait() == 0
    said = (project.folder / "run.log").read_text()
    assert re.search(
        r"Another run is at work in this folder \(benchmark tiny, since 20\d\d-.*; process \d+: "
        r".*to stop it: kill -INT",
        said,
    )
    assert "Nothing to be done" in said, "the second finds everything made"
    assert "unlocking" not in said
    assert ".venv is a link; what it leads to is used as it is" in said


@pytest.mark.parametrize("mark", ["", "[]", '{"process": 1}', "\0"])
def test_a_mark_that_says_nothing_is_no_obstacle(
    new_project: Callable[[str], Project], mark: str
) -> None:
    project = new_project("marked")
    locked(project.folder).write_text(mark)
    assert "unlocking the folder" in project.run("drugtail", "unlock").stdout
    assert not (project.folder / ".snakemake/locks").exists()


def test_a_folder_that_another_machine_has_locked_is_left_alone(
    new_project: Callable[[str], Project],
) -> None:
    project = new_project("shared")
    mark = locked(project.folder, host="login2", process=4711, started="2026-01-31 09:00:00")
    said = project.run("drugtail", "unlock", check=False)
    assert said.returncode == 1
    assert "Process 4711 on login2 runs in this folder since 2026-01-31 09:00:00" in said.stdout
    assert f"delete {mark.relative_to(project.folder)}" in said.stdout
    assert mark.exists()
    mark.unlink()
    assert "unlocking the folder" in project.run("drugtail", "unlock").stdout


@pytest.mark.parametrize("home", [None, "missing"])
def test_a_folder_with_spaces_without_git_and_home_is_enough(
    finished: Project, new_project: Callable[[str], Project], home: str | None
) -> None:
    project = new_project("my drugs & 'data'")
    own = project.folder / "temporary files"
    own.mkdir()
    # Where nothing can be made, also by root.
    (project.folder / "file").write_text("")
    nowhere = home and str(project.folder / "file" / home)
    run = start(project, figures=True, HOME=nowhere, XDG_CACHE_HOME=None, TMPDIR=str(own))
    assert run.wait() == 0, (project.folder / "run.log").read_text()
    pd.testing.assert_frame_equal(metrics(finished), metrics(project), check_exact=True)


@pytest.mark.parametrize(
    ("command", "program"),
    [
        (["/usr/bin/python3.11", "/a b/.venv/bin/snakemake", "--cores", "2"], "snakemake"),
        ([".venv/bin/python", "-m", "snakemake"], "snakemake"),
        (["python", "-X", "dev", "-W", "ignore", "-m", "drugtail.cli", "train"], "drugtail"),
        (["python3", "-u", ".venv/bin/drugtail", "train"], "drugtail"),
        (["snakemake", "all"], "snakemake"),
        (["/bin/sh", "-c", "python -m drugtail unlock && .venv/bin/snakemake"], "sh"),
        (["tail", "-f", ".venv/bin/snakemake"], "tail"),
        (["python", "-c", "import time", "snakemake"], "-c"),
        (["python"], "python"),
        ([], ""),
    ],
)
def test_a_process_is_what_it_runs_not_what_its_words_mention(
    command: list[str], program: str
) -> None:
    assert turns.program_of(command) == program


def test_a_snakemake_of_another_user_does_not_count(tmp_path: Path) -> None:
    if os.getuid() != 0:
        assert turns.processes_here("snakemake") == []
        return
    script = tmp_path / "snakemake"
    script.write_text("import time\ntime.sleep(60)\n")
    tmp_path.chmod(0o755)
    with contextlib.chdir(tmp_path):
        mine = subprocess.Popen([sys.executable, str(script)])
        theirs = subprocess.Popen(["sleep", "60"], executable="/bin/sleep", user=65534)
        try:
            found = {process.pid for process in turns.processes_here("snakemake")}
            assert found == {mine.pid}
            assert theirs.pid not in {process.pid for process in turns.processes_here("sleep")}
        finally:
            for process in (mine, theirs):
                process.kill()
                process.wait()


def test_jobs_are_waited_for_and_those_that_wait_are_not(tmp_path: Path) -> None:
    script = tmp_path / "drugtail"
    script.write_text("import time\ntime.sleep(60)\n")
    with contextlib.chdir(tmp_path):
        verbs = [subprocess.Popen([sys.executable, str(script), v]) for v in ("train", "unlock")]
        try:
            assert [process.pid for process in turns.jobs_here()] == [verbs[0].pid]
        finally:
            for process in verbs:
                process.kill()
                process.wait()


def test_a_process_that_nobody_reaps_is_not_waited_for() -> None:
    ended = subprocess.Popen(["true"])
    found = psutil.Process(ended.pid)
    deadline = time.monotonic() + 10
    while found.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    turns.wait_until_ended([found])
    assert ended.wait() == 0


def test_only_what_was_cut_runs_again(new_project: Callable[[str], Project]) -> None:
    project = new_project("cut")
    project.snakemake("data")
    before = (project.folder / "results/data/tiny/molecules.parquet").stat().st_mtime_ns
    process = start(project)
    wait_for(project, "results/logs/train/tiny/random-0/gcn/*/seeds0-1.log", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    project.run("drugtail", "unlock")
    jobs = project.jobs_to_run()
    assert "fetch_dataset" not in jobs
    assert "prepare_dataset" not in jobs
    assert jobs["train_network"] >= 1
    after = (project.folder / "results/data/tiny/molecules.parquet").stat().st_mtime_ns
    assert before == after


# -------------------------------------------------------------------------- disks and folders


def test_a_full_disk_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")

    def fill() -> None:
        with atomic_path(target) as temporary:
            # The kernel's own full device: every write fails with "no space left".
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"x" * 1_000_000)

    with pytest.raises(OSError, match="No space left") as error:
        fill()
    assert error.value.errno == errno.ENOSPC
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


SAVE = """
import resource, signal, sys
from pathlib import Path
import pandas as pd, torch
from drugtail.cli import main
from drugtail.runtime.files import write_json
from drugtail.runtime.parquet import write_parquet
from drugtail.training.checkpoints import Checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
path = Path(sys.argv[1])
numbers = torch.arange(100_000.0)
write = {
    "pt": lambda: Checkpoint(path, "key", 0).save({"numbers": numbers}),
    "json": lambda: write_json(path, numbers.tolist()),
    "parquet": lambda: write_parquet(path, pd.DataFrame({"numbers": numbers.numpy()})),
}[path.suffix[1:]]
from drugtail import cli
cli.app = write
main()
"""


@pytest.mark.parametrize("name", ["seeds0-1.pt", "status.json", "predictions.parquet"])
def test_what_cannot_be_written_is_named_with_the_reason(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("old")
    # The kernel refuses larger files as it refuses to fill a disk.
    failed = subprocess.run(
        [sys.executable, "-c", SAVE, str(path)], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"drugtail: error: {path}: File too large: ")
    assert "Nothing finished so far is lost" in failed.stderr
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert path.read_text() == "old"


def drugtail(*arguments: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def shrink() -> None:
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "drugtail", *arguments],
        capture_output=True,
        text=True,
        preexec_fn=shrink,
    )


@pytest.mark.parametrize("stage", ["generate", "featurize"])
def test_a_write_that_fails_is_one_line_and_leaves_nothing(
    finished: Project, tmp_path: Path, stage: str
) -> None:
    output = tmp_path / "out"
    register = finished.folder / "config/datasets/demo.yaml"
    molecules = finished.folder / "results/data/tiny/molecules.parquet"
    arguments = {
        "generate": ["--dataset", str(register)],
        "featurize": ["--molecules", str(molecules), "--featurizer", "atoms"],
    }[stage]
    failed = drugtail(stage, *arguments, "--output", str(output), limit=2000)
    assert failed.returncode == 1
    assert "drugtail: error:" in failed.stderr
    assert "File too large" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_named(finished: Project, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    molecules = str(finished.folder / "results/data/tiny/molecules.parquet")
    failed = drugtail(
        "featurize", "--molecules", molecules, "--featurizer", "atoms",
        "--output", str(tmp_path / "file" / "out"),
    )  # fmt: skip
    assert failed.returncode == 1
    assert f"{tmp_path}/file" in failed.stderr
    assert "choose another path" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["featurize", "--molecules", "gone.parquet", "--featurizer", "atoms", "--output", "x"],
         "gone.parquet: no such file"),
        (["evaluate", "--predictions", "README.md", "--metrics", "x", "--classes", "y"],
         "README.md: cannot be read as Parquet"),
        (["collect", "results/runs/a/b", "--output", "x"], "results/runs/a/b: is not a block"),
        (["list", "molecules"], "'molecules' cannot be listed"),
        (["check", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_a_message(arguments: list[str], says: str) -> None:
    failed = drugtail(*arguments)
    assert failed.returncode == 1
    assert says in failed.stderr
    assert "Traceback" not in failed.stderr


def test_checking_several_files_names_what_is_wrong_in_each_of_them(tmp_path: Path) -> None:
    text = "name: {}\ntitle: t\ndatasets: [demo]\nsplits: [random-0]\nmethods: [{}]\n{}: [0-0]\n"
    (tmp_path / "name.yaml").write_text(text.format("name", "balanced_sofmax", "seeds"))
    (tmp_path / "good.yaml").write_text(text.format("good", "cross_entropy", "seeds"))
    (tmp_path / "key.yaml").write_text(text.format("key", "cross_entropy", "seed"))
    failed = drugtail("check", *(str(tmp_path / f"{n}.yaml") for n in ("name", "good", "key")))
    assert failed.returncode == 1
    assert f"{tmp_path}/name.yaml: methods: 'balanced_sofmax' is unknown" in failed.stderr
    assert f"{tmp_path}/key.yaml: key seed: unknown key" in failed.stderr
    assert f"{tmp_path}/good.yaml: good, 1 training job" in failed.stdout


def test_checking_reads_the_columns_of_tables_that_lie_here(tmp_path: Path) -> None:
    table, register = tmp_path / "mine.csv", tmp_path / "mine.yaml"
    table.write_text("smiles,activity\nCCO,yes\n")
    register.write_text(
        TINY_DATASET.replace("name: tiny", "name: mine").replace("path: tiny.csv", f"path: {table}")
    )
    benchmark = tmp_path / "benchmark.yaml"
    benchmark.write_text(
        f"name: b\ntitle: t\ndatasets: [{register}]\nsplits: [random-0]\n"
        "methods: [cross_entropy]\nseeds: [0-0]\n"
    )
    for path in (register, benchmark):
        failed = drugtail("check", str(path))
        assert failed.returncode == 1
        assert f"{table}: column 'label' is missing" in failed.stderr
    table.write_text("smiles,label\nCCO,yes\n")
    assert "good" in drugtail("check", str(register), str(benchmark)).stdout
    table.unlink()
    assert "good" in drugtail("check", str(register)).stdout, "what is not here may come"
