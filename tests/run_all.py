"""Run every test that can be run here, as `make test` does: those on a cluster beside the others.

A cluster's tests mostly wait, for its queue and its limits; the others use the processors
meanwhile.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parent
# Unbuffered: lines come as they are printed.
PYTEST = (sys.executable, "-u", "-m", "pytest")
OTHERS = ("-n", "2", "--durations=40", "--ignore", str(TESTS / "cluster"))
PROGRESS = re.compile(r"\[ *\d+%\]$")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    """Return 0 if every test passes; what the cluster's said is printed when all are at an end."""
    possible = subprocess.run([sys.executable, TESTS / "cluster/mini_slurm.py"], check=False)
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryDirectory() as share:
        os.environ["DRUGTAIL_TESTS_SHARE"] = share
        cluster = None
        if possible.returncode == 0:
            words = (*PYTEST, "--durations=5", str(TESTS / "cluster"))
            cluster = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT)
        without = []
        if not any(map(shutil.which, BROWSERS)):
            without = ["--ignore", str(TESTS / "browser")]
            print("The tests in a browser are left out: Chromium is not installed", flush=True)
        if not shutil.which("pdflatex"):
            without += ["--ignore", str(TESTS / "latex")]
            print("The tests of LaTeX are left out: pdflatex is not installed", flush=True)
        last, failed = run(*PYTEST, *OTHERS, *without)
        if cluster is not None:
            failed |= cluster.wait() != 0
            said.seek(0)
            print(f"On a cluster:\n{said.read()}\nWithout it:\n{last}", flush=True)
    return int(failed)


def run(*command: str) -> tuple[str, bool]:
    """Run a command, printing what it says; return its last line and whether it failed.

    Lines of progress get the minutes since the start.
    """
    last, start = "", time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            minutes = f" {(time.monotonic() - start) / 60:.0f} min" if PROGRESS.search(line) else ""
            print(f"{line.rstrip()}{minutes}", flush=True)
            last = line.rstrip() or last
    return last, process.returncode != 0


if __name__ == "__main__":
    sys.exit(main())
