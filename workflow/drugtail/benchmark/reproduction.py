"""Comparing runs that were trained here with those of a published benchmark."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from drugtail.benchmark.planned import PlannedBlock
from drugtail.benchmark.progress import is_finished
from drugtail.benchmark.read_back import published_plan
from drugtail.config.catalogue import Catalogue
from drugtail.evaluation.predicted import (
    MOLECULE,
    PREDICTIONS,
    parse_run_name,
    predicted_classes,
    recalls,
)
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.invocation import program
from drugtail.runtime.names import DEFAULT
from drugtail.runtime.parquet import read_parquet


class Repeated(NamedTuple):
    """A published run beside the same one trained here.

    Attributes
    ----------
    block : str
        Folder of its block below ``results/runs``.
    run : str
        Encoder, method and seed.
    molecules : int
        Test molecules.
    differing : int
        Test molecules that were given another class.
    to_the_bit : bool
        Whether the file of predictions is the published one, with all probabilities.
    published, here : float
        Balanced accuracy on test molecules, from 0 to 1.
    conditions : tuple of str
        Processor, versions of packages and code that were others there than here.
    """

    block: str
    run: str
    molecules: int
    differing: int
    to_the_bit: bool
    published: float
    here: float
    conditions: tuple[str, ...]


class Published:
    """A published benchmark as today's code plans it.

    Parameters
    ----------
    folder
        What `drugtail publish` wrote.
    catalogue
        Where the definitions of methods and data sets are.
    only
        A part of the path that a block must have to be among them; by default all are.

    Attributes
    ----------
    planned : list of PlannedBlock
        The published blocks that today's code plans, too.
    entries : dict
        Path of a block -> what ``manifest.json`` says of it.

    Raises
    ------
    DrugtailError
        If the folder was not published, or today's code plans none of these blocks.
    """

    def __init__(self, folder: Path, catalogue: Catalogue, only: str = "") -> None:
        self.folder = folder
        self.config, plan = published_plan(folder, catalogue)
        manifest = read_json(folder / "manifest.json")
        self.entries = {
            path: {**manifest, **block}
            for path, block in manifest["blocks"].items()
            if only in path
        }
        if not self.entries:
            raise DrugtailError(
                f"{folder}: none of its {len(manifest['blocks'])} blocks has {only!r} in its path, "
                f"such as {next(iter(manifest['blocks']))}"
            )
        self.planned = [block for block in plan.blocks() if block.path in self.entries]
        if not self.planned:
            raise DrugtailError(
                f"{folder}: today's code plans none of its blocks, so none can be trained again; "
                f"they were made at git commit {manifest.get('git_commit', 'in manifest.json')}"
            )

    def quickest(self, results: Path) -> tuple[float, str]:
        """Return the seconds of a processor that the quickest block took, and what trains it.

        An ensemble is not it, unless there is nothing else: others are trained before.
        """
        alone = [one for one in self.planned if not one.members and one.settings == DEFAULT]
        seconds = {one.path: self.entries[one.path]["cpu_seconds"] for one in alone or self.planned}
        path = min(seconds, key=lambda one: seconds[one])
        words = [f"{results}/runs/{path}/status.json", "--cores", "2"]
        words += ["--configfile", str(self.config)]
        return seconds[path], f"{program('snakemake')} {shlex.join(words)}"


def repeated_runs(published: Published, results: Path) -> list[Repeated]:
    """Compare what is trained here of a published benchmark with what is published of it.

    Parameters
    ----------
    published
        The benchmark.
    results
        Results folder, whose ``runs/`` has the blocks trained here.

    Returns
    -------
    list of Repeated
        In the order of the benchmark; empty if none of its blocks is trained here.

    Raises
    ------
    DrugtailError
        If a block's test molecules or finished seeds are not the published ones.
    """
    there = [block for block in published.planned if is_finished(block, results)]
    table = read_parquet(published.folder / PREDICTIONS) if there else pd.DataFrame()
    return [run for block in there for run in _of_block(block, published, table, results)]


def _of_block(
    block: PlannedBlock, published: Published, table: pd.DataFrame, results: Path
) -> Iterator[Repeated]:
    entry = published.entries[block.path]
    folder = results / "runs" / block.path
    path = folder / "predictions.parquet"
    conditions = tuple(_other_conditions(entry, read_json(folder / "manifest.json")))
    equal = file_digest(path) == entry["predictions_sha256"]
    here = predicted_classes([path])
    runs = here.columns.difference(MOLECULE, sort=False).tolist()
    seeds = sorted(parse_run_name(run)[2] for run in runs)
    if seeds != (finished := _finished_seeds(entry["status"])):
        raise DrugtailError(
            f"{folder}: its finished seeds are {seeds}, those published {finished}; a run that "
            "diverged in one place alone is no repetition"
        )
    kept = table[(table["dataset"] == block.dataset) & (table["split"] == block.split)]
    both = kept[["id", "label", *runs]].merge(
        here[["id", "label", *runs]], on=["id", "label"], how="outer", suffixes=("", " here"),
        indicator=True,
    )  # fmt: skip
    other = both[both["_merge"] != "both"]
    if len(other):
        raise DrugtailError(
            f"{path}: {len(other)} of its test molecules or their classes are not those of "
            f"{published.folder / PREDICTIONS} (molecule {other['id'].iloc[0]} is one); the data "
            "set or the split has changed since"
        )
    for run in runs:
        differing = int((both[run] != both[f"{run} here"]).sum())
        yield Repeated(
            block.path, run, len(both), differing, equal, _balanced(kept, run),
            _balanced(here, run), conditions,
        )  # fmt: skip


def _finished_seeds(status: dict[str, Any]) -> list[int]:
    return sorted(int(seed) for seed, one in status.items() if one["status"] == "finished")


def _other_conditions(there: dict[str, Any], here: dict[str, Any]) -> Iterator[str]:
    """Yield what rounding depends on, where a published block and one trained here differ."""
    pairs = {
        "processor": (there["host"]["processor"], here["host"]["processor"]),
        "device": (there["device"], here["device"]),
        **{
            name: (version, here["packages"].get(name))
            for name, version in there["packages"].items()
        },
    }
    for name, (one, other) in pairs.items():
        if one != other:
            yield f"{name} {one} (here {other})"
    if there["code_digest"] != here["code_digest"]:
        yield f"code of commit {str(there['git_commit'])[:8]}"


def _balanced(table: pd.DataFrame, run: str) -> float:
    return float(np.mean(recalls(table[[*MOLECULE, run]])["recall"]))
