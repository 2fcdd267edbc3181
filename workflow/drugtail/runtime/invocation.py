"""Commands as they can be typed in this folder and environment, for hints that people copy."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def program(name: str) -> str:
    """Return how a program of this environment is called: by its name if the shell finds that."""
    ours = Path(sys.executable).parent / name
    found = shutil.which(name)
    if found is not None and Path(found).absolute() == ours:
        return name
    return shlex.quote(os.path.relpath(ours))


def running(benchmark: Path) -> str:
    """Return the command that runs a benchmark; only a clone has a Makefile."""
    if Path("Makefile").is_file() and benchmark.is_relative_to("config/benchmarks"):
        name = benchmark.relative_to("config/benchmarks").with_suffix("")
        return f"make benchmark NAME={shlex.quote(str(name))}"
    return f"{program('snakemake')} --configfile {shlex.quote(str(benchmark))}"
