"""Putting the results of a finished benchmark where git keeps them, with how they were made.

A published folder holds what other tables, paired tests and bootstraps over molecules need; what
needs probabilities stands in the metrics per run, and what training needs stays outside.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock
from drugtail.benchmark.progress import is_finished
from drugtail.benchmark.published_metrics import write_metrics
from drugtail.benchmark.verify import check_block
from drugtail.config.catalogue import with_extended
from drugtail.config.yaml_reader import read_yaml
from drugtail.evaluation.collect import block_states, check_complete, parse_block
from drugtail.evaluation.derived_rows import is_derived
from drugtail.evaluation.evaluate import KEYS
from drugtail.evaluation.predicted import PREDICTIONS, predicted_classes
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_json, write_text
from drugtail.runtime.names import TUNED
from drugtail.runtime.parquet import read_parquet, write_parquet

# Forms of a table, and the figures that are published, as PNG.
KINDS = ("csv", "md", "tex")
FIGURES = ("trade_off", "recall_by_class_size", "critical_difference", "separability")
# Git is no data store.
LARGEST_FILE = 1_000_000


def publish(plan: Plan, config: Path, output: Path, *, partial: bool = False) -> None:
    """Copy a benchmark's tables, figures and metrics, and write how they were made.

    Parameters
    ----------
    plan
        The benchmark.
    config
        Its configuration file; copied too.
    output
        Folder: ``metrics/`` (what `drugtail tabulate --metrics` reads), ``tables/``, ``figures/``
        (`FIGURES` as PNG), ``predictions.parquet``
        (see `predicted_classes`), the configuration, and ``manifest.json`` (command, host,
        packages, times, and per block its command, settings, status, git commit, code digest, the
        digests of its inputs and predictions, and what tuning gave). It is replaced, but a
        ``README.md`` in it stays: what people wrote about the tables. ``plugins/`` has the files
        that results depend on besides.
    partial
        Publish a benchmark of which blocks are missing; the manifest names them as ``missing``.
        Otherwise every run must be finished.

    Raises
    ------
    DrugtailError
        If a run is not finished, a block is not what the benchmark wants, the tables are older
        than the blocks, a table or figure is missing, or a file would be larger than 1 MB.
    """
    name, results = plan.benchmark.name, Path(plan.benchmark.results)
    collected = results / "metrics" / name / "runs.parquet"
    if not partial:
        check_complete(collected)
    planned = list(plan.blocks())
    finished = [block for block in planned if is_finished(block, results)]
    for block in finished:
        check_block(plan, block, results)
    number = _count_finished(planned, config, results, collected)
    shown = _shown(plan, config, results)
    with atomic_directory(output, marker="manifest.json") as folder:
        for path in shown:
            kind = folder / path.relative_to(results).parts[0]
            kind.mkdir(exist_ok=True)
            if path.suffix == ".png":
                _copy_small(path, kind / path.name)
            else:
                shutil.copy(path, kind)
        write_metrics(collected.parent, folder / "metrics", plan.tables.values())
        predictions = [results / "runs" / b.path / "predictions.parquet" for b in finished]
        write_parquet(folder / PREDICTIONS, predicted_classes(predictions), compact=True)
        _copy_configuration(config, folder)
        _copy_plugins(plan, folder)
        if (readme := output / "README.md").is_file():
            shutil.copy(readme, folder)
        manifest = _manifest(plan, finished, config, results, number)
        if missing := [block.path for block in planned if block not in finished]:
            manifest["missing"] = missing
        write_text(folder / "manifest.json", _as_text(manifest))
        _check_sizes(folder)
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    print(f"{output}: {number} runs of {len(finished)} blocks, {size / 1e6:.2f} MB")


def _copy_configuration(config: Path, folder: Path) -> None:
    """Copy a benchmark's file; of one that extends another, write the values of both."""
    value = read_yaml(config)
    if "extends" not in value:
        shutil.copy(config, folder)
        return
    both = yaml.safe_dump(with_extended(value, config), sort_keys=False, allow_unicode=True)
    write_text(folder / config.name, f"# {config}, and what it extends: {value['extends']}\n{both}")


def _copy_plugins(plan: Plan, folder: Path) -> None:
    """Copy the plugins that results depend on; two of one name get their digests before it."""
    paths = {*plan.additions.plugins, *filter(None, map(plan.method_plugin, plan.recipes))}
    names = [path.name for path in paths]
    for path in sorted(paths):
        (folder / "plugins").mkdir(exist_ok=True)
        several = f"{file_digest(path)[:8]}-" if names.count(path.name) > 1 else ""
        shutil.copy(path, folder / "plugins" / f"{several}{path.name}")


def _shown(plan: Plan, config: Path, results: Path) -> list[Path]:
    """Tables and figures to copy; an error if one is missing."""
    name = plan.benchmark.name
    shown = [results / "tables" / name / f"{t}.{kind}" for t in plan.tables for kind in KINDS]
    figures = [figure for figure in FIGURES if figure in plan.benchmark.figures]
    shown += [results / "figures" / name / f"{figure}.png" for figure in figures]
    for path in shown:
        if not path.is_file():
            raise DrugtailError(
                f"{path}: is missing; run `snakemake --configfile {config} page` first"
            )
    return shown


def _copy_small(figure: Path, target: Path) -> None:
    """Copy a PNG with 256 colours, in a third of the room."""
    from PIL import Image

    with Image.open(figure) as image:
        image.convert("RGB").quantize(256).save(target, optimize=True)


def _check_sizes(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise DrugtailError(
                f"{path.relative_to(folder)}: has {path.stat().st_size:,} bytes, more than "
                f"{LARGEST_FILE:,}; publish a benchmark of fewer methods or data sets"
            )


def _count_finished(
    planned: Sequence[PlannedBlock], config: Path, results: Path, collected: Path
) -> int:
    """Number of finished runs; an error if the tables are of other runs than lie there now."""
    blocks = [parse_block(results / "runs" / block.path, block.settings) for block in planned]
    there = pd.concat([block_states(block) for block in blocks], ignore_index=True)
    kept = read_parquet(collected, there.columns.tolist())
    kept = kept[~is_derived(kept["method"])]
    both = there.merge(kept, how="outer", indicator=True)
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
    if not finished:
        raise DrugtailError(f"{config}: has no finished block")
    blocks = {block.path: _of_block(block, results / "runs" / block.path) for block in finished}
    # Values that all blocks share, or all of one name, are said once.
    shared = {
        key: common[0]
        for key in ("git_commit", "code_digest", "device", "host", "packages")
        if len(common := _distinct([block[key] for block in blocks.values()])) == 1
    }
    for values in blocks.values():
        for key in shared:
            del values[key]
    methods = {block.path: block.method for block in finished}
    encoders = {block.path: block.encoder for block in finished}
    folders = {b.path: f"{b.dataset}/{b.split}/{b.encoder}" for b in finished}
    named = {
        "recipes": _said_once(blocks, "recipe", methods),
        "training": _said_once(blocks, "training", methods),
        "encoders": _said_once(blocks, "encoder", encoders),
        "inputs": _said_once(blocks, "inputs", folders),
        # In these, {block} stands for the path of a block.
        "commands": _said_once(blocks, "command", folders),
    }
    return {
        "command": f"snakemake --configfile {config}",
        "benchmark": plan.benchmark.model_dump(mode="json"),
        "runs": number,
        "training_cpu_seconds": round(sum(b["cpu_seconds"] for b in blocks.values()), 1),
        **shared,
        **named,
        "blocks": blocks,
    }


def _as_text(manifest: dict[str, Any]) -> str:
    """Return a manifest as JSON with a line for each block, in little room."""
    text = json.dumps({**manifest, "blocks": {}}, indent=2, ensure_ascii=False, allow_nan=False)
    lines = [
        f"    {json.dumps(path)}: {json.dumps(block, ensure_ascii=False, allow_nan=False)}"
        for path, block in manifest["blocks"].items()
    ]
    before, _, after = text.rpartition('"blocks": {}')
    joined = ",\n".join(lines)
    return f'{before}"blocks": {{\n{joined}\n  }}{after}\n'


def _said_once(
    blocks: dict[str, dict[str, Any]], key: str, names: Mapping[str, str]
) -> dict[str, Any]:
    """Return a setting by the name that blocks have it from; those that differ keep their own."""
    found: dict[str, list[Any]] = {}
    for path, name in names.items():
        found.setdefault(name, []).append(blocks[path][key])
    once = {name: max(values, key=values.count) for name, values in found.items()}
    for path, name in names.items():
        if blocks[path][key] == once[name]:
            del blocks[path][key]
    return once


def _of_block(block: PlannedBlock, folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    settings = manifest["settings"]
    entry = {
        "command": manifest["command"].replace(block.path, "{block}"),
        "recipe": settings["recipe"],
        "encoder": settings["encoder"],
        "training": settings["training"],
        "status": read_json(folder / "status.json")["seeds"],
        "inputs": {key: value["sha256"] for key, value in manifest["inputs"].items()},
        "predictions_sha256": file_digest(folder / "predictions.parquet"),
        **{
            key: manifest[key]
            for key in ("git_commit", "code_digest", "started", "wall_seconds", "cpu_seconds",
                        "peak_memory_bytes", "device", "host", "packages")
        },
    }  # fmt: skip
    if block.settings == TUNED:
        entry["tuned"] = read_json(Path(manifest["inputs"]["tuned"]["path"]))
    return entry


def _distinct(values: list[Any]) -> list[Any]:
    return [value for i, value in enumerate(values) if value not in values[:i]]
