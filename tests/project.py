"""A copy of the project with a tiny data set, in which real Snakemake runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from drugtail.benchmark.plan import Plan
from drugtail.config.catalogue import Catalogue, read_benchmark

PROJECT = Path(__file__).parents[1]
COPIED = ("Snakefile", "workflow", "config", "envs", "profiles", "Makefile", "pyproject.toml")
# Three classes that differ by a substituent, 40 : 20 : 8.
SCAFFOLDS = ["C" * n for n in range(1, 21)] + ["c1ccccc1" + "C" * n for n in range(1, 21)]
TINY_DATASET = """\
name: tiny
title: Tiny molecules for tests
task: molecule -> substituent
synthetic: true
licence: none
citation: none
files:
  - name: tiny.csv
    columns: [smiles, label]
    sources: [{path: tiny.csv}]
columns: {smiles: smiles, label: label}
"""
TINY_BENCHMARK = """\
name: tiny
title: Tiny benchmark
datasets: [tiny]
splits: [random-0]
methods: [cross_entropy, class_distance,
  {name: random_forest, settings: {classifier.n_estimators: 10}}]
seeds: [0-1]
training: {epochs: 4, schedule_scale: 0.1, batch_size: 16}
tables: [head_tail, trade_off]
"""


def run_in(
    folder: Path, environment: dict[str, str], *command: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; both outputs in stdout."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout
    return done


@dataclass
class Project:
    """A copy of the project in a folder of its own."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        # The copy's own package comes first, so that a test may change its code.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        foreign = ("MLFLOW_TRACKING_URI", "DRUGTAIL_PLAN")
        clean = {k: v for k, v in os.environ.items() if k not in foreign}
        return {**clean, "PYTHONPATH": str(self.folder / "workflow"), "PATH": path}

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the project's environment in the copy; both outputs in stdout."""
        return run_in(self.folder, self.environment, *command, check=check)

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Snakemake on the tiny benchmark."""
        return self.run(
            "snakemake", *arguments, "--cores", "2", "--configfile", "config/tiny.yaml", check=check
        )

    def plan(self, config: str = "config/tiny.yaml") -> Plan:
        """The plan of a benchmark of the copy, as it is now."""
        with contextlib.chdir(self.folder):
            plan = Plan(read_benchmark(Path(config)), Catalogue(Path("config")))
            # Now, while paths of plugins are those of the copy.
            assert list(plan.blocks())
            assert plan.file_name
        return plan

    def block(self, method: str, config: str = "config/tiny.yaml") -> Path:
        """Folder of the first block of a method, as the benchmark plans it now."""
        blocks = self.plan(config).blocks()
        path = next(block.path for block in blocks if block.method == method)
        return self.folder / "results/runs" / path

    def jobs_to_run(self) -> dict[str, int]:
        """Rule -> number of jobs that a dry run names."""
        return listed_jobs(self.snakemake("--dry-run").stdout)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file."""
        path = self.folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new))


def listed_jobs(output: str) -> dict[str, int]:
    """Rule -> number of jobs that a dry run's output names."""
    lines = output.splitlines()
    if "Job stats:" not in lines:
        assert any("Nothing to be done" in line for line in lines), output
        return {}
    start = lines.index("Job stats:") + 3
    counts = [line.split() for line in lines[start : lines.index("", start)]]
    return {rule: int(n) for rule, n in counts if rule not in ("all", "total")}


def tiny_table() -> str:
    """The tiny data set, as CSV."""
    rows = [f"{s}O,alcohol" for s in SCAFFOLDS]
    rows += [f"{s}N,amine" for s in SCAFFOLDS[:20]]
    rows += [f"{s}Br,bromide" for s in SCAFFOLDS[:8]]
    return "\n".join(["smiles,label", *rows]) + "\n"


def make_project(folder: Path) -> Project:
    """Copy the project and add the tiny data set."""
    # Compiled modules come along, which saves seconds; not what is just being written.
    ignored = shutil.ignore_patterns("*.pyc.*", "*.egg-info")
    for name in COPIED:
        source = PROJECT / name
        if source.is_symlink():
            (folder / name).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored, symlinks=True)
        else:
            shutil.copy(source, folder / name)
    (folder / "tiny.csv").write_text(tiny_table())
    (folder / "config/datasets/tiny.yaml").write_text(TINY_DATASET)
    (folder / "config/tiny.yaml").write_text(TINY_BENCHMARK)
    return Project(folder)
