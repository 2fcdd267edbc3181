"""Free the working directory after a run that was killed; refuse while another run is at work.

Snakemake locks its working directory, and a run that is killed cannot unlock it. The next start
through make does, once nothing of that run is at work in the same folder any more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

RUN, JOB = "snakemake", "drugtail"
# Options of Python that take the next word as their value.
WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")


def main() -> int:
    """Unlock the current folder if that is safe; return the exit status."""
    if not any(Path(".snakemake/locks").glob("*")):
        return 0
    if runs := processes_here(RUN):
        print(
            f"Another run is at work in this folder ({listed(runs)}); wait for it to end, or stop "
            "it first.",
            file=sys.stderr,
        )
        return 1
    if jobs := processes_here(JOB):
        numbers = " ".join(str(job.pid) for job in jobs)
        print(
            f"A former run was cut off, but its jobs are still at work ({listed(jobs)}). Waiting "
            f"for them, since two jobs must not write the same files; to stop them: kill {numbers}",
            file=sys.stderr,
            flush=True,
        )
        psutil.wait_procs(jobs)
    print("A former run was cut off; unlocking the folder.", file=sys.stderr)
    snakemake = Path(sys.executable).with_name("snakemake")
    return subprocess.run([snakemake, "--unlock", "--quiet", "all"], check=False).returncode


def processes_here(program: str) -> list[psutil.Process]:
    """Return the processes of a program that this user runs in the current folder.

    Ancestors of this process do not count: make starts Snakemake from the same shell.
    """
    here, user = str(Path.cwd()), os.getuid()
    ancestors = {parent.pid for parent in psutil.Process().parents()}
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.pid not in ancestors
                and program_of(process.cmdline()) == program
                and process.uids().real == user
                and process.cwd() == here
            ):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            # It has ended, or belongs to somebody else.
            continue
    return found


def program_of(command: Sequence[str]) -> str:
    """Return the name of the program that a command line runs.

    That of a Python script or module is its own name, not that of the interpreter:
    ``python -m snakemake`` and ``python .venv/bin/snakemake`` are ``snakemake``. Later words do not
    count: the shell of ``sh -c 'python unlock.py && snakemake'`` is a shell.
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


if __name__ == "__main__":
    sys.exit(main())
