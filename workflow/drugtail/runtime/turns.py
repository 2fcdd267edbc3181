"""Take turns in the working folder: wait for a run that is at work, free it after one was killed.

Snakemake locks its working directory, and a run that is killed cannot unlock it. `drugtail unlock`
does, once nothing of that run is at work any more: neither processes on this machine nor jobs in
SLURM's queue. `make` calls it before every start.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from drugtail.runtime.errors import DrugtailError

RUN, JOB = "snakemake", "drugtail"
LOCKS = Path(".snakemake/locks")
# Written by the Snakefile when a run starts. Snakemake deletes it with its locks.
MARK = LOCKS / "run.json"
# Options of Python that take the next word as their value.
WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
# Seconds between two looks at SLURM's queue.
PATIENCE = 10.0


class CannotTellError(DrugtailError):
    """It cannot be seen from here whether a run is at work."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}. Nothing was started")


def unlock_folder() -> bool:
    """Wait until nothing is at work in the current folder, and take the locks of a killed run away.

    Returns whether there were any. Raises `CannotTellError` if another machine has locked the
    folder or SLURM does not answer, and `DrugtailError` if Snakemake does not unlock it.
    """
    if not locked():
        return False
    wait_for_run()
    if not locked():
        return False
    mark = read_mark()
    refuse_run_elsewhere(mark)
    if mark.get("executor") == "slurm":
        wait_for_queue()
    wait_for_jobs()
    say("A former run was cut off; unlocking the folder.")
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [str(snakemake), "--unlock", "--quiet", "all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DrugtailError(f"snakemake did not unlock the folder: {done.stderr.strip()}")
    return True


def locked() -> bool:
    """Return whether a run has locked the current folder."""
    return any(LOCKS.glob("*"))


def say(line: str) -> None:
    """Print a line for the user at once."""
    print(line, file=sys.stderr, flush=True)


def wait_for_run() -> None:
    """Wait until no other Snakemake of this user is at work in this folder on this machine."""
    if runs := [run for run in processes_here(RUN) if not is_job(run)]:
        say(
            f"Another run is at work in this folder ({named_by(read_mark())}{listed(runs)}). "
            f"Waiting for it to end; to stop it: kill -INT {numbers(runs)} (without -INT its jobs "
            "end first)"
        )
        wait_until_ended(runs)


def reason_against_a_start() -> str | None:
    """Return why nothing may start in the current folder as it is; None if something may.

    Snakemake itself refuses what would write the same files. A start that has nothing to do it lets
    through, and deletes the locks of the run that is at work.
    """
    if not locked():
        return None
    at_work = [run for run in processes_here(RUN) if not is_job(run)]
    at_work += jobs_here()
    if at_work:
        return f"Another run is at work in this folder ({listed(at_work)})"
    if read_mark().get("executor") == "slurm":
        return "A former run in this folder was cut off, and may have jobs in SLURM's queue"
    return None


def wait_until_ended(processes: Sequence[psutil.Process]) -> None:
    """Wait until no process runs any more; one that nobody has asked for its status has ended."""
    while any(map(is_running, processes)):
        time.sleep(0.5)


def is_running(process: psutil.Process) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read_mark() -> dict[str, Any]:
    """Return what the run that holds the locks has said of itself.

    Nothing, if it was killed before it had begun, or is one of an earlier version.
    """
    try:
        mark = json.loads(MARK.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def named_by(mark: dict[str, Any]) -> str:
    """Return the benchmark of a run and when it began, as words before its processes."""
    if "benchmark" not in mark:
        return ""
    return f"benchmark {mark['benchmark']}, since {mark.get('started')}; "


def refuse_run_elsewhere(mark: dict[str, Any]) -> None:
    """Raise `CannotTellError` if another machine has locked the folder."""
    here = os.uname().nodename
    host = mark.get("host", here)
    if host != here:
        raise CannotTellError(
            f"Process {mark.get('process')} on {host} runs in this folder since "
            f"{mark.get('started')}, or was killed there. Start there again; or if {host} runs "
            f"nothing any more, delete {MARK} and start here"
        )


def wait_for_jobs() -> None:
    """Wait until no job of a former run is at work on this machine."""
    if jobs := jobs_here():
        say(
            f"A former run was cut off, but its jobs are still at work ({listed(jobs)}). Waiting "
            f"for them, since two jobs must not write the same files; to stop them: "
            f"kill {numbers(jobs)}"
        )
        wait_until_ended(jobs)


def wait_for_queue() -> None:
    """Wait until SLURM has no more jobs that were started in this folder."""
    if jobs := queued_here():
        say(
            f"A former run was cut off, but its jobs are still in SLURM's queue. Waiting for them, "
            f"since two jobs must not write the same files; to stop them: scancel {' '.join(jobs)}"
        )
        while left := queued_here():
            if left != jobs:
                say(f"Still in the queue: {' '.join(left)}")
                jobs = left
            time.sleep(PATIENCE)


def queued_here() -> list[str]:
    """Return the numbers of this user's SLURM jobs that were started in the current folder.

    The job that this process belongs to, if any, does not count. Raises `CannotTellError` if SLURM
    does not answer.
    """
    command = ["squeue", "--noheader", f"--user={os.getuid()}", "--format=%A %Z"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = str(getattr(error, "stderr", "") or error).strip()
        raise CannotTellError(
            "A former run was cut off, and SLURM does not say whether its jobs are still at work "
            f"({why}). Try again when it answers; or if you know that none is, run snakemake "
            "--unlock"
        ) from error
    here, own = os.path.realpath("."), os.environ.get("SLURM_JOB_ID")
    jobs = (line.split(" ", 1) for line in answer.stdout.splitlines())
    return [job for job, folder in jobs if os.path.realpath(folder) == here and job != own]


def jobs_here() -> list[psutil.Process]:
    """Return the processes of `drugtail` in the current folder; one that waits here is none."""
    return [process for process in processes_here(JOB) if not is_waiting(process)]


def processes_here(program: str) -> list[psutil.Process]:
    """Return the processes of a program that this user runs in the current folder.

    Neither this process nor its ancestors count: make starts Snakemake from the same shell.
    """
    here, user = str(Path.cwd()), os.getuid()
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid not in own
                and program_of(process.cmdline()) == program
                and process.uids().real == user
                and process.cwd() == here
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            # It has ended, or belongs to somebody else.
            continue
    return found


def is_job(process: psutil.Process) -> bool:
    """Return whether a Snakemake is that of one job, as on the nodes of a cluster."""
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return True
    return "--mode" in words and words[words.index("--mode") + 1 :][:1] != ["default"]


def is_waiting(process: psutil.Process) -> bool:
    """Return whether a process is a `drugtail unlock`: two of them must not wait for each other."""
    try:
        return "unlock" in process.cmdline()
    except psutil.NoSuchProcess:
        return True


def program_of(command: Sequence[str]) -> str:
    """Return the name of the program that a command line runs.

    That of a Python script or module is its own name, not that of the interpreter:
    ``python -m snakemake`` and ``python .venv/bin/snakemake`` are ``snakemake``. Later words do not
    count: the shell of ``sh -c 'drugtail unlock && snakemake'`` is a shell.
    """
    words = iter(command)
    name = Path(next(words, "")).name
    if not name.startswith("python"):
        return name
    for word in words:
        if word == "-m":
            return next(words, "").split(".")[0]
        if word in WITH_VALUE:
            next(words, None)
        elif word == "-c" or not word.startswith("-"):
            return Path(word).name
    return name


def numbers(processes: Sequence[psutil.Process]) -> str:
    """Return numbers of processes as words of a command."""
    return " ".join(str(process.pid) for process in processes)


def listed(processes: Sequence[psutil.Process]) -> str:
    """Return numbers and commands of processes in one line."""
    shown = []
    for process in processes:
        try:
            command = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            command = "ended"
        shown.append(f"process {process.pid}: {command[:80]}{'…' if command[80:] else ''}")
    return "; ".join(shown)
