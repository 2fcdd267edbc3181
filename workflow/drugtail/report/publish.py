"""Putting the tables of a finished benchmark where git keeps them, with how they were made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from drugtail.evaluation.collect import check_complete
from drugtail.plan import Plan
from drugtail.progress import blocks_of_others
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_json, write_json
from drugtail.runtime.names import TUNED


def publish(plan: Plan, config: Path, output: Path) -> None:
    """Copy tables, figures and page of a benchmark, and write the manifest of how they were made.

    Parameters
    ----------
    plan
        The benchmark; every run of it must be finished.
    config
        Its configuration file; copied too.
    output
        Folder: ``metrics/`` (what `drugtail tabulate --metrics` reads), ``tables/``,
        ``figures/``, ``index.html``, the configuration and
        ``manifest.json`` (command, host, packages, times, and per block its command, git commit,
        code digest, the digests of its inputs and predictions, and what tuning gave). It is
        replaced, but a ``README.md`` in it stays: what people wrote about the tables.

    Raises
    ------
    DrugtailError
        If a run is not finished, or another benchmark has replaced it since.
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
    number = check_complete(results / "metrics" / name / "runs.parquet")
    with atomic_directory(output) as folder:
        kinds = (("metrics", "*.parquet"), ("tables", "*.*"), ("figures", "*.svg"))
        for kind, pattern in kinds:
            (folder / kind).mkdir()
            for path in sorted((results / kind / name).glob(pattern)):
                shutil.copy(path, folder / kind)
        shutil.copy(results / "page" / name / "index.html", folder)
        shutil.copy(config, folder)
        if (readme := output / "README.md").is_file():
            shutil.copy(readme, folder)
        write_json(folder / "manifest.json", _manifest(plan, config, results, number))


def _manifest(plan: Plan, config: Path, results: Path, number: int) -> dict[str, Any]:
    blocks: dict[str, dict[str, Any]] = {}
    for block in plan.blocks():
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
        raise DrugtailError(f"{config}: has no blocks")
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
