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
from drugtail.evaluation.predicted import MOLECULE, PREDICTIONS, predicted_classes, recalls
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
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


def repeated_runs(published: Path, catalogue: Catalogue, results: Path) -> list[Repeated]:
    """Compare what is trained here of a published benchmark with what is published of it.

    Parameters
    ----------
    published
        A folder that `drugtail publish` wrote.
    catalogue
        Where the definitions of methods and data sets are.
    results
        Results folder, whose ``runs/`` has the blocks trained here.

    Returns
    -------
    list of Repeated
        In the order of the benchmark.

    Raises
    ------
    DrugtailError
        If none of its blocks is trained here (the message has the command that trains the
        quickest one), or a block's test molecules are not the published ones.
    """
    config, plan = published_plan(published, catalogue)
    manifest = read_json(published / "manifest.json")
    blocks = {path: {**manifest, **block} for path, block in manifest["blocks"].items()}
    planned = [block for block in plan.blocks() if block.path in blocks]
    there = [block for block in planned if is_finished(block, results)]
    if not there:
        raise DrugtailError(_nothing(published, config, planned, blocks, results))
    table = read_parquet(published / PREDICTIONS)
    return [
        run
        for block in there
        for run in _of_block(block, blocks[block.path], table, published, results)
    ]


def _nothing(
    published: Path,
    config: Path,
    planned: list[PlannedBlock],
    blocks: dict[str, Any],
    results: Path,
) -> str:
    alone = [block for block in planned if not block.members and block.settings == DEFAULT]
    if not alone:
        return (
            f"{published}: today's code plans none of its {len(blocks)} blocks, so none can be "
            "trained again; its git commit stands in manifest.json"
        )
    quickest = min(alone, key=lambda block: blocks[block.path]["cpu_seconds"])
    target = f"{results}/runs/{quickest.path}/status.json"
    command = shlex.join(["snakemake", target, "--cores", "2", "--configfile", str(config)])
    return (
        f"{results}/runs: has none of the {len(blocks)} blocks of {published}. The quickest takes "
        f"{blocks[quickest.path]['cpu_seconds']:.0f} s, the others have their paths in "
        f"{published / 'manifest.json'}; train it: {command}"
    )


def _of_block(
    block: PlannedBlock, entry: dict[str, Any], table: pd.DataFrame, published: Path, results: Path
) -> Iterator[Repeated]:
    folder = results / "runs" / block.path
    path = folder / "predictions.parquet"
    conditions = tuple(_other_conditions(entry, read_json(folder / "manifest.json")))
    equal = file_digest(path) == entry["predictions_sha256"]
    here = predicted_classes([path])
    runs = here.columns.difference(MOLECULE, sort=False).tolist()
    kept = table[(table["dataset"] == block.dataset) & (table["split"] == block.split)]
    both = kept[["id", "label", *runs]].merge(
        here[["id", "label", *runs]], on=["id", "label"], how="outer", suffixes=("", " here"),
        indicator=True,
    )  # fmt: skip
    other = both[both["_merge"] != "both"]
    if len(other):
        raise DrugtailError(
            f"{path}: {len(other)} of its test molecules or their classes are not those of "
            f"{published / PREDICTIONS} (molecule {other['id'].iloc[0]} is one); the data set or "
            "the split has changed since"
        )
    for run in runs:
        differing = int((both[run] != both[f"{run} here"]).sum())
        yield Repeated(
            block.path, run, len(both), differing, equal, _balanced(kept, run),
            _balanced(here, run), conditions,
        )  # fmt: skip


def _other_conditions(there: dict[str, Any], here: dict[str, Any]) -> Iterator[str]:
    """Yield what rounding depends on, where a published block and one trained here differ."""
    pairs = {
        "processor": (there["host"]["processor"], here["host"]["processor"]),
        "device": (there["device"], here["device"]),
        **{
            name: (version, here["packages"].get(name))
            for name, version in there["packages"].items()
        },
        "code of the package": (there["code_digest"], here["code_digest"]),
    }
    for name, (one, other) in pairs.items():
        if one != other:
            yield f"{name} {one} (here {other})"


def _balanced(table: pd.DataFrame, run: str) -> float:
    return float(np.mean(recalls(table[[*MOLECULE, run]])["recall"]))
