"""Putting the tables of a finished benchmark where git keeps them, with how they were made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from drugtail.benchmark.plan import Plan, PlannedBlock
from drugtail.benchmark.progress import blocks_of_others
from drugtail.evaluation.collect import block_states, check_complete, parse_block
from drugtail.evaluation.evaluate import KEYS
from drugtail.report.plots import PLOTS
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_json, read_parquet, write_json
from drugtail.runtime.names import TUNED

# Of a block: what nobody needs to compute another metric from it or to train the others.
MODEL, EMBEDDINGS = "model.pt", "embeddings.parquet"
# Forms of a table.
KINDS = ("csv", "md", "tex")


def publish(
    plan: Plan, config: Path, output: Path, *, partial: bool = False, blocks: bool = False
) -> None:
    """Copy tables, figures and page of a benchmark, and write the manifest of how they were made.

    Parameters
    ----------
    plan
        The benchmark.
    config
        Its configuration file; copied too.
    output
        Folder: ``metrics/`` (what `drugtail tabulate --metrics` reads), ``tables/``,
        ``figures/``, ``index.html``, the configuration and
        ``manifest.json`` (command, host, packages, times, and per block its command, git commit,
        code digest, the digests of its inputs and predictions, and what tuning gave). It is
        replaced, but a ``README.md`` in it stays: what people wrote about the tables.
    partial
        Publish a benchmark of which blocks are missing; the manifest names them as ``missing``.
        Otherwise every run must be finished.
    blocks
        Copy the blocks as well, as ``runs/``, without their models and without the embeddings that
        no figure shows: other metrics and tests can be computed from the predictions, and what is
        missing be trained beside them.

    Raises
    ------
    DrugtailError
        If a run is not finished, another benchmark has replaced it since, the tables are older
        than the blocks, or a table or figure is missing.
    """
    name = plan.benchmark.name
    results = Path(plan.benchmark.results)
    if others := blocks_of_others(plan, results):
        raise DrugtailError(
            f"{results / 'runs' / others[0].path}: was trained with other settings than {config} "
            f"says ({len(others)} blocks are like that), so the tables would not be of it; run "
            f"`snakemake --configfile {config}` again, or give the benchmarks that share this "
            "folder one each (results)"
        )
    collected = results / "metrics" / name / "runs.parquet"
    if not partial:
        check_complete(collected)
    number = _count_finished(plan, config, results, collected)
    shown = [results / "tables" / name / f"{t}.{kind}" for t in plan.tables for kind in KINDS]
    shown += [results / "figures" / name / f"{plot}.svg" for plot in PLOTS]
    page = results / "page" / name / "index.html"
    for path in (*shown, page):
        if not path.is_file():
            raise DrugtailError(
                f"{path}: is missing; run `snakemake --configfile {config} page` first"
            )
    planned = list(plan.blocks())
    missing = [b for b in planned if not (results / "runs" / b.path / "status.json").is_file()]
    finished = [block for block in planned if block not in missing]
    with atomic_directory(output, marker="manifest.json") as folder:
        for path in (*collected.parent.glob("*.parquet"), *shown):
            kind = folder / path.relative_to(results).parts[0]
            kind.mkdir(exist_ok=True)
            shutil.copy(path, kind)
        shutil.copy(page, folder)
        shutil.copy(config, folder)
        if (readme := output / "README.md").is_file():
            shutil.copy(readme, folder)
        if blocks:
            drawn = plan.mapped(finished)
            for block in finished:
                left_out = (MODEL,) if block in drawn else (MODEL, EMBEDDINGS)
                shutil.copytree(
                    results / "runs" / block.path,
                    folder / "runs" / block.path,
                    ignore=shutil.ignore_patterns(*left_out),
                )
        manifest = _manifest(plan, finished, config, results, number)
        if missing:
            manifest["missing"] = [block.path for block in missing]
        write_json(folder / "manifest.json", manifest)


def _count_finished(plan: Plan, config: Path, results: Path, collected: Path) -> int:
    """Number of finished runs; an error if the tables are of other runs than lie there now."""
    blocks = [parse_block(results / "runs" / block.path) for block in plan.blocks()]
    there = pd.concat([block_states(block) for block in blocks], ignore_index=True)
    both = there.merge(read_parquet(collected, there.columns.tolist()), how="outer", indicator=True)
    other = both[both["_merge"] != "both"]
    if len(other):
        row = other.iloc[0]
        named = "/".join(str(row[key]) for key in KEYS)
        raise DrugtailError(
            f"{collected}: is not of the blocks that are there now (run {named} differs); run "
            f"`snakemake --configfile {config} page` first"
        )
    return int((there["status"] == "finished").sum())


def _manifest(
    plan: Plan, finished: list[PlannedBlock], config: Path, results: Path, number: int
) -> dict[str, Any]:
    blocks: dict[str, dict[str, Any]] = {}
    for block in finished:
        folder = results / "runs" / block.path
        manifest = read_json(folder / "manifest.json")
        blocks[block.path] = {
            "command": manifest["command"],
            "git_commit": manifest["git_commit"],
            "code_digest": manifest["code_digest"],
            "inputs": {key: value["sha256"] for key, value in manifest["inputs"].items()},
            "predictions_sha256": file_digest(folder / "predictions.parquet"),
            "started": manifest["started"],
            "wall_seconds": manifest["wall_seconds"],
            "cpu_seconds": manifest["cpu_seconds"],
            "peak_memory_bytes": manifest["peak_memory_bytes"],
            "device": manifest["device"],
            "host": manifest["host"],
            "packages": manifest["packages"],
        }
        if block.settings == TUNED:
            blocks[block.path]["tuned"] = read_json(Path(manifest["inputs"]["tuned"]["path"]))
    if not blocks:
        raise DrugtailError(f"{config}: has no finished block")
    # What is the same everywhere is said once.
    shared = {
        key: common[0]
        for key in ("git_commit", "code_digest", "device", "host", "packages")
        if len(common := _distinct([block[key] for block in blocks.values()])) == 1
    }
    for block_values in blocks.values():
        for key in shared:
            del block_values[key]
    return {
        "command": f"snakemake --configfile {config}",
        "benchmark": plan.benchmark.model_dump(mode="json"),
        "runs": number,
        "training_cpu_seconds": round(sum(b["cpu_seconds"] for b in blocks.values()), 1),
        **shared,
        "blocks": blocks,
    }


def _distinct(values: list[Any]) -> list[Any]:
    return [value for i, value in enumerate(values) if value not in values[:i]]
