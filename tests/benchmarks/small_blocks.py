"""Cost of small blocks on a cluster: a job each, several to a job, or as job arrays.

    python tests/benchmarks/small_blocks.py [--output results/benchmarks] [--blocks 60] [--ways …]

Run it alone, where SLURM can be started (as root, with Debian's packages): two nodes of one CPU on
this machine train networks for one epoch on 68 molecules, each on a split of its own, in a copy of
the project in a temporary folder. Data, splits and features are there before. CPU seconds are those
of the whole machine. Writes small_blocks.json and small_blocks.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
import yaml

from drugtail.runtime.files import write_json, write_text
from drugtail.runtime.manifest import describe_host, git_commit

sys.path.insert(0, str(Path(__file__).parents[1]))
from cluster.mini_slurm import MiniSlurm
from project import PROJECT, Project, make_project

PROFILE = "workflow/profiles/slurm"
HASTE = [
    "--workflow-profile", PROFILE, "--cores", "1", "--latency-wait", "5",
    "--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2",
]  # fmt: skip
RULES = ("train_network", "train_classical", "evaluate_block")
ALONE = ["--groups", *(f"{rule}=single" for rule in RULES), "--group-components", "single=1"]
# Way -> what Snakemake is told; arrays are of single rules, which are in no group.
WAYS = {
    "without a cluster": ["--cores", "2"],
    "a job for each block": [*HASTE, *ALONE],
    "2 blocks to a job": [*HASTE, "--group-components", "block=2"],
    "10 blocks to a job": [*HASTE, "--group-components", "block=10"],
    "30 blocks to a job": [*HASTE, "--group-components", "block=30"],
    "job arrays": [*HASTE, "--slurm-array-jobs", "train_network,evaluate_block"],
}


@dataclass(frozen=True)
class Figure:
    """Cost of one way: jobs in the queue, CPU seconds of the machine, seconds until the end."""

    way: str
    jobs: int
    cpu_seconds: float
    seconds: float


def prepare(folder: Path, blocks: int) -> Project:
    """Make a project with everything but blocks."""
    project = make_project(folder)
    splits = [f"random-{number}" for number in range(blocks)]
    benchmark = {
        "name": "tiny", "title": "Small blocks", "datasets": ["tiny"], "splits": splits,
        "methods": ["cross_entropy"], "seeds": ["0-0"], "tables": ["head_tail"],
        "training": {"epochs": 1, "batch_size": 16},
    }  # fmt: skip
    (folder / "config/tiny.yaml").write_text(yaml.safe_dump(benchmark))
    project.snakemake("data")
    return project


def group_rules(project: Project, grouped: bool) -> None:
    """Write the profile, with its groups or without: a job of a group is in no array."""
    lines = (PROJECT / PROFILE / "config.yaml").read_text().splitlines()
    kept = [one for one in lines if grouped or one.strip().split(":")[0] not in RULES]
    (project.folder / PROFILE / "config.yaml").write_text("\n".join(kept) + "\n")


def cpu_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def measure(project: Project, slurm: MiniSlurm, way: str, blocks: int) -> Figure:
    """Train and evaluate everything from nothing."""
    shutil.rmtree(project.folder / "results/runs", ignore_errors=True)
    before, cpu, started = len(jobs_of(slurm, project)), cpu_seconds(), time.monotonic()
    project.run("snakemake", "tables", "--until", "evaluate_block", "--configfile",
                "config/tiny.yaml", *WAYS[way])  # fmt: skip
    figure = Figure(
        way, len(jobs_of(slurm, project)) - before, cpu_seconds() - cpu, time.monotonic() - started
    )
    done = len(list(project.folder.glob("results/runs/**/metrics.parquet")))
    assert done == blocks, f"{way}: {done} blocks"
    return figure


def jobs_of(slurm: MiniSlurm, project: Project) -> list[str]:
    """Return the numbers of the jobs of a project, tasks of an array each on its own."""
    lines = slurm.output("sacct", "-X", "-n", "-P", "-o", "jobid,workdir").splitlines()
    return [line.split("|")[0] for line in lines if line.endswith(str(project.folder))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory(prefix="drugtail-cluster-") as folder:
        Path(folder, "project").mkdir()
        project = prepare(Path(folder, "project"), options.blocks)
        slurm = MiniSlurm(Path(folder, "slurm"), cpus=1)
        try:
            slurm.start()
            for way in options.ways:
                group_rules(project, grouped=way != "job arrays")
                figures.append(measure(project, slurm, way, options.blocks))
                print(figures[-1], flush=True)
        finally:
            slurm.stop()
    host = {**describe_host(), "commit": git_commit(), "snakemake": version("snakemake")}
    write_json(
        options.output / "small_blocks.json",
        {"host": host, "figures": [asdict(f) for f in figures]},
    )
    lines = [
        f"{options.blocks} blocks of about a second each.",
        "",
        "| | jobs in the queue | CPU seconds | wall seconds |",
        "| --- | --- | --- | --- |",
        *(f"| {f.way} | {f.jobs} | {f.cpu_seconds:.0f} | {f.seconds:.0f} |" for f in figures),
    ]
    write_text(options.output / "small_blocks.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
