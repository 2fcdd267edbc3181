"""Resources that a benchmark asks a cluster for, before anything is submitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drugtail.benchmark import slurm
from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock
from drugtail.benchmark.resources import (
    EVALUATE_MINUTES,
    SPLIT_MINUTES,
    Job,
    bytes_to_keep,
    data_minutes,
    megabytes_to_ask_for,
    minutes_to_ask_for,
    split_size,
    train_molecules,
)
from drugtail.config.yaml_reader import read_yaml
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import counted
from drugtail.runtime.names import SHARED

PROFILES = Path("workflow/profiles")
# Jobs of training in a profile's groups are these rules.
TRAINING_RULES = ("train_network", "train_classical")
# With its log and what Snakemake notes of it.
FILES_OF_BLOCK = 20


@dataclass(frozen=True)
class Grouping:
    """Grouping of blocks by a profile: `blocks` to a job of the queue, `cpus` at a time."""

    blocks: int = 1
    cpus: int = 1


def read_profile(profile: str) -> tuple[dict[str, Any], Path]:
    """Return the settings of a Snakemake profile, and the last file that they come from.

    Parameters
    ----------
    profile
        Name of a folder below workflow/profiles/, or a folder with config.yaml. Of several names
        with blanks between them, later ones go before earlier ones, as in ``make PROFILE="a b"``.

    Raises
    ------
    DrugtailError
        If there is no such profile.
    """
    settings: dict[str, Any] = {}
    names = [profile] if Path(profile).is_dir() else profile.split() or [profile]
    for name in names:
        path = (Path(name) if Path(name).is_dir() else PROFILES / name) / "config.yaml"
        if not path.is_file():
            there = sorted(one.parent.name for one in PROFILES.glob("*/config.yaml"))
            raise DrugtailError(f"--profile {name}: no file {path}; there are {', '.join(there)}")
        settings |= read_yaml(path)
        for rule in (None, *TRAINING_RULES):
            slurm.refuse_names(_resources(settings, rule), str(path))
    return settings, path


def _resources(settings: dict[str, Any], rule: str | None = None) -> dict[str, Any]:
    """Resources of the jobs of a rule, or of all.

    Snakemake takes a mapping, or a list of ``name=value`` and ``rule:name=value``.
    """
    found = _as_mapping(settings.get("default-resources"))
    own = settings.get("set-resources") or {}
    if isinstance(own, dict):
        return found | _as_mapping(own.get(rule))
    begun = [str(one).partition(":") for one in own]
    return found | _as_mapping([given for name, _, given in begun if name == rule])


def _as_mapping(given: Any) -> dict[str, Any]:
    if isinstance(given, list):
        parts = [str(one).partition("=") for one in given]
        return {name: value for name, _, value in parts}
    return given if isinstance(given, dict) else {}


def grouping_of(settings: dict[str, Any], path: Path) -> Grouping:
    """Return how the settings of a Snakemake profile group training jobs.

    Raises
    ------
    DrugtailError
        If a number in them is none; the message names `path`, where they come from.
    """
    groups: dict[str, Any] = settings.get("groups") or {}
    named = [groups[rule] for rule in TRAINING_RULES if rule in groups]
    if not named:
        return Grouping()
    blocks = (settings.get("group-components") or {}).get(named[0], 1)
    cpus = settings.get("cores", 1)
    for key, value in (("group-components", blocks), ("cores", cpus)):
        if not isinstance(value, int) or value < 1:
            raise DrugtailError(f"{path}: {key}: must be a whole number above 0, found {value!r}")
    return Grouping(blocks, cpus)


def describe_requests(plan: Plan, jobs: Sequence[Job], profile: str) -> list[str]:
    """Say in lines what the jobs that are left ask for by a profile.

    Sizes that nobody knows yet are taken for 100,000 molecules, and this is said.
    """
    settings, path = read_profile(profile)
    grouping = grouping_of(settings, path)
    if not jobs:
        return [f"  by profile {profile}: nothing is left to submit"]
    blocks = [job for job in jobs if isinstance(job, PlannedBlock)]
    tunings = len(jobs) - len(blocks)
    data = _data_jobs(plan)
    minutes = [minutes_to_ask_for(plan, job) for job in jobs]
    gpu = [plan.benchmark.device == "cuda" and plan.recipes[j.method].is_network for j in jobs]
    # Blocks of a job run beside each other, or follow each other where it has not as many CPUs.
    beside = min(grouping.blocks, grouping.cpus)
    longest = (max(minutes) + EVALUATE_MINUTES) * math.ceil(grouping.blocks / beside)
    largest = max(megabytes_to_ask_for(plan, job) for job in jobs) * beside
    gpu_hours = sum(m for m, on_gpu in zip(minutes, gpu, strict=True) if on_gpu) / 60
    kept = sum(bytes_to_keep(plan, block) for block in blocks)
    asked = sum(minutes) + EVALUATE_MINUTES * len(blocks)
    training = math.ceil(len(blocks) / grouping.blocks) + tunings
    lines = [
        f"  by profile {profile}: {counted(training, 'job')} of training, of up to "
        f"{counted(grouping.blocks, 'block')} on {counted(grouping.cpus, 'CPU')}",
        f"    limits asked for: {counted(math.ceil(asked / 60), 'core hour')}"
        + (f", {counted(math.ceil(gpu_hours), 'GPU hour')}" if gpu_hours else "")
        + f"; the longest job {_hours(longest)}, the largest {largest:,} MB",
        f"    on disk: about {kept / 1e6:,.0f} MB in {FILES_OF_BLOCK * len(blocks):,} files",
    ]
    if data:
        jobs_of_data = f"{counted(len(data), 'job')} to prepare data"
        lines.insert(2, f"    before them {jobs_of_data}, of up to {_hours(max(data))}")
    own = {rule for rule in TRAINING_RULES if _resources(settings, rule) != _resources(settings)}
    if own:
        lines.append(f"    (the profile's own set-resources of {', '.join(sorted(own))} go before)")
    unknown = sorted({job.dataset for job in jobs if train_molecules(plan, job) is None})
    if unknown:
        lines.append(
            f"    ({', '.join(unknown)}: taken for 100,000 molecules; run the target `data` first, "
            "as in `snakemake data --configfile …`)"
        )
    if settings.get("executor") == "slurm":
        lines.append(_accepted(settings, path, beside, largest, max([longest, *data])))
    return lines


def _data_jobs(plan: Plan) -> list[int]:
    """Return the time limit in minutes of each job that prepares, cuts and featurizes a data set.

    A profile that joins these steps to one job adds their limits up; fewer are needed where steps
    run beside each other. Data sets of which all is there have no job.
    """
    found = []
    for name in plan.datasets:
        lacking = sum(not split_size(name, split) for split in plan.benchmark.splits)
        read = {folder: one for (of, folder), one in plan.features_read.items() if of == name}
        unread = sum(not (SHARED / "features" / name / folder).is_dir() for folder in read)
        unprepared = not (SHARED / "data" / name / "molecules.parquet").is_file()
        steps = int(unprepared) + unread
        if steps or lacking:
            own = any(plan.inputs.plugin(encoder) for encoder in read.values())
            found.append(steps * data_minutes(plan, name, own=own) + lacking * SPLIT_MINUTES)
    return found


def _accepted(settings: dict[str, Any], path: Path, cpus: int, megabytes: int, minutes: int) -> str:
    """Ask SLURM for a job like the largest one, and say what it said."""
    if not slurm.answers():
        return "    (no SLURM answers here, so account and partition were not tried)"
    for rule in TRAINING_RULES:
        found = _resources(settings, rule)
        account, partition = (found.get(f"slurm_{name}") for name in ("account", "partition"))
        slurm.refuse(slurm.Request(account, partition, cpus, megabytes, minutes), str(path))
    return (
        "    SLURM refuses neither account, partition nor CPUs (tried with the largest limits; "
        "nothing was submitted)"
    )


def _hours(minutes: int) -> str:
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"
