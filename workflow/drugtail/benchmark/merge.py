"""Bringing together blocks of one benchmark that were trained on several machines."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock
from drugtail.benchmark.progress import has_its_model, is_finished
from drugtail.benchmark.verify import check_block
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_json
from drugtail.runtime.logging import counted
from drugtail.runtime.names import TUNED
from drugtail.runtime.parquet import read_parquet

# Blocks that a message names.
SHOWN = 3


@dataclass
class Merged:
    """Outcome of merging a benchmark's blocks.

    Attributes
    ----------
    here : int
        Blocks that were finished here before.
    copied : dict of Path to int
        Number of blocks that were taken from each folder.
    refused : list of str
        One message for each block that was found and not taken.
    missing : list of str
        Blocks that are finished nowhere.
    """

    here: int = 0
    copied: dict[Path, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """Return the same in one line."""
        taken = [f"{number} from {folder}" for folder, number in self.copied.items() if number]
        parts = [f"{self.here} were here", *taken]
        parts += [f"{len(self.refused)} refused"] if self.refused else []
        if self.missing:
            shown = ", ".join(self.missing[:SHOWN]) + (", …" if self.missing[SHOWN:] else "")
            parts += [f"{len(self.missing)} finished nowhere ({shown})"]
        return ", ".join(parts)


def merge_blocks(plan: Plan, folders: Sequence[Path], results: Path) -> Merged:
    """Copy finished blocks of a benchmark from other results folders to this one.

    A block is taken if it is what the benchmark wants: its settings, seeds, code, molecules, split
    and features, as far as they are here, and if all its files are undamaged. One that is finished
    here stays as it is; of several folders that have a block, the first counts.

    Parameters
    ----------
    plan
        The benchmark.
    folders
        Results folders, or clones with a folder results/.
    results
        Folder of results here.

    Raises
    ------
    DrugtailError
        If a folder holds no results.
    """
    sources = [_results_of(folder) for folder in folders]
    merged = Merged(copied=dict.fromkeys(sources, 0))
    for block in plan.blocks():
        if is_finished(block, results):
            merged.here += 1
            continue
        found = [source for source in sources if is_finished(block, source)]
        for source in found:
            try:
                _take(plan, block, source, results)
            except DrugtailError as error:
                merged.refused.append(str(error))
            else:
                merged.copied[source] += 1
                break
        if not found:
            merged.missing.append(str(block.path))
    return merged


def _results_of(folder: Path) -> Path:
    for results in (folder, folder / "results"):
        if (results / "runs").is_dir():
            return results
    raise DrugtailError(f"{folder}: holds no results: there is neither runs/ nor results/runs/")


def _take(plan: Plan, block: PlannedBlock, source: Path, results: Path) -> None:
    """Copy one block, after a look into all of its files."""
    folder = source / "runs" / block.path
    if not has_its_model(plan, block, source):
        raise DrugtailError(f"{folder}: keeps no model, and the benchmark wants it")
    if block.settings == TUNED:
        _take_tuning(block, source, results)
    check_block(plan, block, source)
    _check_files(folder)
    target = results / "runs" / block.path
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(target, marker="manifest.json") as new:
        # Without their times: they are newer than the data here. Metrics are computed here.
        ignore = shutil.ignore_patterns("*metrics.parquet")
        shutil.copytree(
            folder, new, ignore=ignore, copy_function=shutil.copyfile, dirs_exist_ok=True
        )


def _take_tuning(block: PlannedBlock, source: Path, results: Path) -> None:
    """Copy what tuning chose for a block, unless it is here."""
    there, here = (root / "tuning" / block.setting_path for root in (source, results))
    if (here / "best.json").is_file() or not (there / "best.json").is_file():
        return
    here.parent.mkdir(parents=True, exist_ok=True)
    with atomic_directory(here, marker="best.json") as new:
        shutil.copytree(there, new, copy_function=shutil.copyfile, dirs_exist_ok=True)


def _check_files(folder: Path) -> None:
    """Raise if a file of a block is damaged: tables have checksums, others digests."""
    outputs = read_json(folder / "manifest.json").get("outputs", {})
    for name, digest in outputs.items():
        path = folder / name
        if not path.is_file() or file_digest(path) != digest:
            raise DrugtailError(f"{path}: is missing, or not what {folder}/manifest.json says")
    for path in sorted(folder.glob("*.parquet")):
        read_parquet(path)


def describe_next(merged: Merged, config: Path) -> str:
    """Return what to do after merging."""
    if merged.missing or merged.refused:
        rest = counted(len(merged.missing) + len(merged.refused), "block")
        return f"Start {config} as usual: it trains the other {rest} and makes tables of all"
    return f"Start {config} as usual: it makes tables of all"
