"""How long Snakemake takes to plan the full comparison.

    python tests/benchmarks/grid.py [--output results/benchmarks] [--methods 50]

Run it alone: another process on the machine changes every figure. Three data sets, two splits,
fifty methods and five seeds in one block: 300 training jobs. Until there are fifty recipes, the
catalogue is filled up with variants of a few. It works in a copy of the project in a temporary
folder. For the runs that find everything done, outputs are placeholders and their records are
Snakemake's own, made by ``snakemake --touch``; making them takes a minute. What a run said it
would do is checked before its time counts. Writes grid.json and grid.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from drugtail.config.catalogue import Catalogue
from drugtail.runtime.files import write_json, write_text
from drugtail.runtime.manifest import describe_host, git_commit

sys.path.insert(0, str(Path(__file__).parents[1]))
from project import Project, listed_jobs, make_project

PROJECT = Path(__file__).parents[2]
REPEATS = 3
CONFIG = "config/grid.yaml"
DATASETS = ["mesh_drug_class", "uspto_50k", "hiv"]
SPLITS = ["random-0", "standard-0"]
METHODS = 50
# Recipe -> setting that its variants differ in, and the value of variant i.
VARIED: dict[str, tuple[str, Callable[[int], float]]] = {
    "logit_adjustment": ("loss.tau", lambda i: 1 + i / 10),
    "cost_sensitive": ("class_weights.gamma", lambda i: 1 / (1 + i)),
    "class_distance": ("subclusters.minimum_size", lambda i: 10 + i),
    "class_separability": ("class_weights.temperature", lambda i: 0.25 + i / 100),
    "random_forest": ("classifier.n_estimators", lambda i: 100 + i),
}
# The method that gets other weights in the end.
CHANGED = "cross_entropy"
SPLIT = {"train_counts": [700, 100]}
# Seconds.
GOALS = {"dry run of everything": 10.0, "start with nothing to do": 15.0}


@dataclass(frozen=True)
class Figure:
    """Seconds of one command.

    Attributes
    ----------
    name : str
        What it is.
    median, low, high : float
        Over the repeats.
    goal : float or None
        The median should stay below it.
    """

    name: str
    median: float
    low: float
    high: float
    goal: float | None


def methods(number: int) -> list[dict[str, Any]]:
    """Entries of a benchmark's methods: `CHANGED`, the other recipes, then variants of a few."""
    names = Catalogue(PROJECT / "config").names("methods")
    names.remove(CHANGED)
    chosen: list[dict[str, Any]] = [{"name": name} for name in [CHANGED, *names]]
    variants = list(VARIED.items())
    for i in range(number - len(chosen)):
        recipe, (key, value) = variants[i % len(variants)]
        settings = {key: value(i + 1)}
        chosen.append({"name": f"{recipe}_{i}", "recipe": recipe, "settings": settings})
    return chosen[:number]


def write_benchmark(project: Project, chosen: list[dict[str, Any]]) -> None:
    """Write the configuration of the comparison into the copy."""
    benchmark = {
        "name": "grid",
        "title": "The full comparison",
        "datasets": DATASETS,
        "splits": SPLITS,
        "methods": chosen,
        "seeds": ["0-4"],
        "tables": ["summary", "head_tail", "trade_off", "all_metrics"],
    }
    write_text(project.folder / CONFIG, yaml.safe_dump(benchmark, sort_keys=False))


def snakemake(project: Project, *options: str) -> str:
    """What Snakemake says in the copy."""
    return project.run("snakemake", *options, "--cores", "2", "--configfile", CONFIG).stdout


def pretend_done(project: Project) -> None:
    """Put placeholders where outputs belong, and have Snakemake record them as made."""
    for line in snakemake(project, "--summary").splitlines():
        if not line.startswith("results/"):
            continue
        path = project.folder / line.split("\t")[0]
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Jobs ask for time and memory by what their split says.
            is_split = path.match("results/splits/*/*.json")
            path.write_text(json.dumps(SPLIT) if is_split else "placeholder\n")
        else:  # Only features are a folder.
            path.mkdir(parents=True)
    # All of them: those that only a record is missing of would not be touched.
    snakemake(project, "--touch", "--forceall", "--quiet", "all")


def measured(name: str, run: Callable[[], str], check: Callable[[str], bool]) -> Figure:
    """Time a command several times, after once for warming up; its output must pass the check."""
    times = []
    for _ in range(REPEATS + 1):
        started = time.perf_counter()
        output = run()
        times.append(time.perf_counter() - started)
        assert check(output), f"{name}: not what was expected:\n{output}"
    times = times[1:]
    return Figure(name, statistics.median(times), min(times), max(times), GOALS.get(name))


def trains(jobs: int) -> Callable[[str], bool]:
    """Whether a dry run lists just so many training jobs."""

    def check(output: str) -> bool:
        listed = listed_jobs(output)
        return listed.get("train_network", 0) + listed.get("train_classical", 0) == jobs

    return check


def measure(number: int) -> list[Figure]:
    """All figures, in a fresh copy of the project."""
    with tempfile.TemporaryDirectory(prefix="drugtail-grid-") as folder:
        project = make_project(Path(folder))
        chosen = methods(number)
        write_benchmark(project, chosen)
        cells = len(DATASETS) * len(SPLITS)
        found = [
            measured(
                "starting Snakemake alone",
                lambda: project.run("snakemake", "--version").stdout,
                lambda output: output.strip() == version("snakemake"),
            ),
            measured(
                "dry run of everything",
                lambda: snakemake(project, "--dry-run"),
                trains(cells * number),
            ),
        ]
        pretend_done(project)
        found.append(
            measured(
                "start with nothing to do",
                lambda: snakemake(project),
                lambda output: "Nothing to be done" in output and "missing" not in output,
            )
        )
        # Shows too that the records are compared with the configuration.
        chosen[0]["settings"] = {"class_weights": {"name": "cost_sensitive"}}
        write_benchmark(project, chosen)
        found.append(
            measured(
                "dry run after one method was changed",
                lambda: snakemake(project, "--dry-run"),
                trains(cells),
            )
        )
    return found


def as_text(found: list[Figure], origin: str) -> str:
    """The figures as a Markdown table."""
    lines = ["| | median | smallest | largest | goal |", "| --- " * 5 + "|"]
    for f in found:
        goal = "" if f.goal is None else f"< {f.goal:g}: {'met' if f.median < f.goal else 'missed'}"
        lines.append(f"| {f.name} | {f.median:.2f} | {f.low:.2f} | {f.high:.2f} | {goal} |")
    return f"{origin}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=PROJECT / "results/benchmarks")
    parser.add_argument("--methods", type=int, default=METHODS)
    options = parser.parse_args()
    host, commit, load = describe_host(), (git_commit() or "unknown")[:7], os.getloadavg()[0]
    found = measure(options.methods)
    size = {
        "datasets": len(DATASETS),
        "splits": len(SPLITS),
        "methods": options.methods,
        "seeds": 5,
        "training_jobs": len(DATASETS) * len(SPLITS) * options.methods,
    }
    origin = (
        f"Made by `make bench` on {host['cores']} cores ({host['processor']}) with Snakemake "
        f"{version('snakemake')}, commit {commit}; load before it {load:.1f}. Seconds of a whole "
        f"command, {REPEATS} times. {size['datasets']} data sets, {size['splits']} splits, "
        f"{size['methods']} methods and {size['seeds']} seeds in a block: {size['training_jobs']} "
        "training jobs."
    )
    write_json(
        options.output / "grid.json",
        {
            "host": host,
            "load": load,
            "snakemake": version("snakemake"),
            "git_commit": commit,
            "size": size,
            "figures": [asdict(figure) for figure in found],
        },
    )
    text = as_text(found, origin)
    write_text(options.output / "grid.md", text)
    print(text)


if __name__ == "__main__":
    main()
