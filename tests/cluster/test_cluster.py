"""The profile slurm on a real SLURM of two nodes: to the end, and through what happens there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from cluster.mini_slurm import MiniSlurm, reason_against
from project import Project, make_project

PROFILE = "workflow/profiles/slurm"
# The queue is asked each second, and nothing is slow to be seen.
IN_HASTE = [
    "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
    "--latency-wait", "5",
]  # fmt: skip
# Of one job in the queue.
RULES = ("train_network", "train_classical", "evaluate_block")
TRAINING = "results/runs/tiny/random-0/gcn/cross_entropy-*/seeds0-1/status.json"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniSlurm]:
    reason = reason_against()
    assert reason is None, reason
    cluster = MiniSlurm(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny benchmark, run on this machine alone."""
    project = make_project(tmp_path_factory.mktemp("local"))
    project.snakemake()
    return project


@pytest.fixture
def prepared(finished: Project, tmp_path: Path) -> Project:
    """The tiny benchmark with its data, splits and features, and nothing trained."""
    project = make_project(tmp_path)
    for name in ("data", "splits", "features"):
        shutil.copytree(finished.folder / "results" / name, tmp_path / "results" / name)
    return project


class Run:
    """One run of a project's benchmark on the cluster."""

    def __init__(self, project: Project, slurm: MiniSlurm, *arguments: str) -> None:
        self.project, self.slurm = project, slurm
        self.log = project.folder / "run.log"
        profile = [] if "--profile" in arguments else ["--workflow-profile", PROFILE]
        command = [
            "snakemake", "tables", *profile, "--configfile", "config/tiny.yaml", *IN_HASTE,
            *arguments,
        ]  # fmt: skip
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=project.folder, env=project.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def wait_for_job(self, rule: str, state: str = "RUNNING") -> str:
        """Wait until a job of a rule is in a state; return its number."""
        found: list[str] = []

        def seen() -> bool:
            lines = self.slurm.output("squeue", "-h", "-o", "%A|%T|%k|%Z").splitlines()
            for line in lines:
                job, now, comment, folder = line.split("|", 3)
                ours = Path(folder) == self.project.folder
                if ours and now == state and rule in comment:
                    found.append(job)
            assert found or self.process.poll() is None, self.log.read_text()
            return bool(found)

        self.slurm.wait(seen, 120)
        return found[0]

    def wait_for_file(self, pattern: str) -> None:
        """Wait until a file of the project is there."""
        self.slurm.wait(lambda: list(self.project.folder.glob(pattern)), 120)

    def end(self) -> str:
        """Wait for a good end; return what was printed."""
        assert self.process.wait(timeout=400) == 0, self.log.read_text()
        return self.log.read_text()


def metrics(project: Project) -> pd.DataFrame:
    runs = pd.read_parquet(project.folder / "results/metrics/tiny/runs.parquet")
    return runs.drop(columns="seconds").sort_values(["method", "seed"], ignore_index=True)


def assert_same_table(first: Project, second: Project) -> None:
    pd.testing.assert_frame_equal(metrics(first), metrics(second), check_exact=True)
    table = "results/tables/tiny/head_tail.csv"
    assert (first.folder / table).read_bytes() == (second.folder / table).read_bytes()


def states(slurm: MiniSlurm, project: Project) -> list[str]:
    """States of the jobs of a project in the accounting, as one word each."""
    lines = slurm.output("sacct", "-X", "-n", "-P", "-o", "state,workdir").splitlines()
    ours = [line.split("|")[0] for line in lines if line.endswith(str(project.folder))]
    return [state.split()[0] for state in ours]


def memory(slurm: MiniSlurm, project: Project) -> list[int]:
    """What the jobs of a project asked for, in MB."""
    lines = slurm.output("sacct", "-X", "-n", "-P", "-o", "reqmem,workdir").splitlines()
    return [int(line.split("M|")[0]) for line in lines if line.endswith(str(project.folder))]


def limits(slurm: MiniSlurm, project: Project) -> set[int]:
    """Minutes that the jobs of a project asked for."""
    lines = slurm.output("sacct", "-X", "-n", "-P", "-o", "timelimitraw,workdir").splitlines()
    return {int(line.split("|")[0]) for line in lines if line.endswith(str(project.folder))}


def trainings(project: Project) -> list[psutil.Process]:
    """Processes that train in a project's folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        ours = process.info["cwd"] == str(project.folder)
        if ours and len(words) > 2 and words[1].endswith("/drugtail") and words[2] == "train":
            found.append(process)
    return found


def test_from_nothing_to_the_same_table_as_without_a_cluster(
    slurm: MiniSlurm, finished: Project, tmp_path: Path
) -> None:
    project = make_project(tmp_path)
    Run(project, slurm).end()
    assert_same_table(finished, project)
    # One for the data; two blocks each: three blocks are two jobs. Tables are made here.
    assert states(slurm, project) == ["COMPLETED"] * 3


def test_a_cancelled_job_is_submitted_again(
    slurm: MiniSlurm, finished: Project, prepared: Project
) -> None:
    run = Run(prepared, slurm)
    slurm.run("scancel", run.wait_for_job("block"))
    run.end()
    assert_same_table(finished, prepared)
    assert sorted(states(slurm, prepared)) == ["CANCELLED", "COMPLETED", "COMPLETED"]


def test_a_job_that_takes_too_much_memory_gets_more(
    slurm: MiniSlurm, finished: Project, prepared: Project
) -> None:
    # PyTorch alone takes more than that; the second attempt asks for enough.
    few = "250 if attempt == 1 else 3000"
    run = Run(prepared, slurm, "--set-resources", *(f"{rule}:mem_mb={few}" for rule in RULES))
    run.end()
    assert_same_table(finished, prepared)
    # One block, and two beside each other; then again.
    assert states(slurm, prepared) == ["FAILED"] * 2 + ["COMPLETED"] * 2
    assert sorted(memory(slurm, prepared)) == [250, 500, 3_000, 6_000]


def test_a_job_that_takes_too_long_gets_more_time(
    slurm: MiniSlurm, finished: Project, prepared: Project
) -> None:
    run = Run(prepared, slurm)
    slurm.wait(lambda: trainings(prepared), 120)
    stopped = trainings(prepared)[0]
    stopped.suspend()
    job = stopped.environ()["SLURM_JOB_ID"]
    asked = int(slurm.output("squeue", "-h", "-j", job, "-o", "%l").split(":")[0])
    # It reaches its limit sooner than in the minute that is the least there is.
    slurm.run("scontrol", "update", f"jobid={job}", "endtime=now")
    run.end()
    assert_same_table(finished, prepared)
    assert not stopped.is_running()
    assert sorted(states(slurm, prepared)) == ["COMPLETED", "COMPLETED", "TIMEOUT"]
    assert 2 * asked in limits(slurm, prepared)


def test_a_node_that_fails_is_done_without(
    slurm: MiniSlurm, finished: Project, prepared: Project
) -> None:
    run = Run(prepared, slurm)
    job = run.wait_for_job("block")
    (node,) = set(slurm.output("squeue", "-h", "-j", job, "-o", "%N").split())
    slurm.stop_node(node)
    try:
        run.end()
        assert_same_table(finished, prepared)
    finally:
        slurm.start_node(node)
        slurm.run("scontrol", "update", f"nodename={node}", "state=resume")
        slurm.wait(lambda: sorted(slurm.idle()) == slurm.nodes, 60)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "# slurm_account: mylab",
            "slurm_account: mylab",
            "slurm_account: 'mylab' is none of yours",
        ),
        ("# slurm_partition: main", "slurm_partition: mian", "invalid partition specified: mian"),
        ("block: 2", "block: 64", r"\(.*--cpus-per-task=64.*\): .*(CPU count|not available)"),
        ("# slurm_account: m", "slurm_acount: m", "'slurm_acount' .*did you mean slurm_account"),
    ],
)
def test_what_slurm_would_refuse_is_said_before_anything_is_submitted(
    slurm: MiniSlurm, prepared: Project, old: str, new: str, said: str
) -> None:
    # As many CPUs as a job has blocks, and no more than `cores`.
    prepared.edit(f"{PROFILE}/config.yaml", "cores: 2", "cores: 64")
    prepared.edit(f"{PROFILE}/config.yaml", old, new)
    run = Run(prepared, slurm)
    assert run.process.wait(timeout=60) != 0
    words = run.log.read_text()
    assert re.search(said, words), words
    assert "Nothing was submitted" in words
    assert states(slurm, prepared) == []
    plan = ["drugtail", "plan", "--config", "config/tiny.yaml", "--profile", PROFILE]
    refused = prepared.run(*plan, check=False)
    assert refused.returncode == 1
    assert re.search(said, refused.stdout), refused.stdout
    prepared.edit(f"{PROFILE}/config.yaml", new, old)
    assert "SLURM refuses neither account" in prepared.run(*plan).stdout


def test_after_a_kill_jobs_that_live_on_are_waited_for(
    slurm: MiniSlurm, finished: Project, prepared: Project
) -> None:
    run = Run(prepared, slurm)
    job = run.wait_for_job("block")
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    said = prepared.run("drugtail", "unlock").stdout
    assert re.search(rf"still in SLURM's queue.* scancel .*\b{job}\b", said), said
    assert "unlocking the folder" in said
    Run(prepared, slurm).end()
    assert_same_table(finished, prepared)


def test_two_benchmarks_in_one_folder_take_turns(
    slurm: MiniSlurm, finished: Project, prepared: Project
) -> None:
    other = (prepared.folder / "config/tiny.yaml").read_text().replace("name: tiny", "name: twin")
    (prepared.folder / "config/twin.yaml").write_text(other)
    first = Run(prepared, slurm)
    first.wait_for_job("block")
    said = prepared.run("drugtail", "unlock").stdout
    assert "Another run is at work in this folder (benchmark tiny, since " in said
    assert f"process {first.process.pid}: " in said
    first.end()
    Run(prepared, slurm, "--configfile", "config/twin.yaml").end()
    assert_same_table(finished, prepared)
    assert (prepared.folder / "results/tables/twin/head_tail.csv").is_file()
    # The twin's blocks are those of the first.
    assert states(slurm, prepared) == ["COMPLETED"] * 2


@pytest.mark.parametrize(
    ("executor", "answers", "started"),
    [("slurm", True, True), ("slurm", False, False), ("local", False, True)],
)
def test_a_queue_that_does_not_answer_stops_what_might_write_twice(
    slurm: MiniSlurm,
    prepared: Project,
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    answers: bool,
    started: bool,
) -> None:
    locks = prepared.folder / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("")
    (locks / "run.json").write_text(json.dumps({"executor": executor}))
    if not answers:
        monkeypatch.setenv("SLURM_CONF", str(prepared.folder / "missing.conf"))
    done = prepared.run("drugtail", "unlock", check=False)
    assert (done.returncode == 0) is started, done.stdout
    assert locks.exists() is not started
    refused = "SLURM does not say whether its jobs are still at work (squeue: error" in done.stdout
    assert refused is not started


def test_a_job_that_asked_for_a_gpu_and_finds_none_fails(
    slurm: MiniSlurm, prepared: Project
) -> None:
    prepared.edit("config/tiny.yaml", "seeds: [0-1]", "seeds: [0-1]\ndevice: cuda")
    # Networks in one kind of job, which asks for a GPU, and forests in another, which does not.
    gpu = ["--profile", PROFILE, "--workflow-profile", f"{PROFILE}-gpu"]
    run = Run(prepared, slurm, *gpu, "--retries", "0")
    asked = slurm.output("scontrol", "show", "job", run.wait_for_job("train_network"))
    assert "gpu:1" in asked
    assert run.process.wait(timeout=200) != 0
    assert "PyTorch sees no GPU" in run.log.read_text()
    assert not list(prepared.folder.glob(TRAINING))
    assert list(prepared.folder.glob("results/runs/tiny/random-0/morgan/*/seeds0-1/status.json"))
    words = slurm.output("sacct", "-X", "-n", "-P", "-o", "reqtres,state,workdir").splitlines()
    ours = [line for line in words if line.endswith(str(prepared.folder))]
    assert all(("gres/gpu=1" in line) is ("|FAILED|" in line) for line in ours), ours
