"""Refusing a block that is not what its benchmark wants."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from drugtail.benchmark.plan import WITHOUT_EFFECT, Plan
from drugtail.benchmark.planned import PlannedBlock
from drugtail.config.benchmark import parse_seeds
from drugtail.config.code import code_of
from drugtail.config.search_space import read_tuned
from drugtail.runtime.digest import code_digest, file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.names import SHARED, TUNED

MOST_NAMED = 5


def check_block(plan: Plan, block: PlannedBlock, results: Path) -> None:
    """Refuse a block whose manifest is not what the benchmark wants.

    Compared are the resolved settings and seeds, the package's code, the plugin, and the digests of
    molecules, split and features with the files that lie there now. A file that is not there is not
    compared: blocks may be collected where their data are not.

    Parameters
    ----------
    plan, block
        The benchmark, and one of its blocks.
    results
        Its results folder.

    Raises
    ------
    DrugtailError
        It names the folder, up to five differences with both values, and what to do.
    """
    folder = results / "runs" / block.path
    differences = list(_differences(plan, block, results))
    if differences:
        more = len(differences) - MOST_NAMED
        lines = [f"  {line}" for line in differences[:MOST_NAMED]]
        lines += [f"  and {more} more"] if more > 0 else []
        raise DrugtailError(
            f"{folder}: is not what benchmark {plan.benchmark.name} wants, so its numbers are not "
            "used:\n" + "\n".join(lines) + f"\nDelete {folder} and start again"
        )


def tuned_changes(block: PlannedBlock, results: Path) -> dict[str, Any] | None:
    """Return what tuning changed of a block's settings; None if it is not tuned, or not known."""
    best = results / "tuning" / block.setting_path / "best.json"
    if block.settings != TUNED or not best.is_file():
        return None
    return read_tuned(best, block.method)


def _differences(plan: Plan, block: PlannedBlock, results: Path) -> Iterator[str]:
    manifest = read_json(results / "runs" / block.path / "manifest.json")
    found, inputs = manifest["settings"], manifest["inputs"]
    tuned = tuned_changes(block, results)
    wanted = plan.wanted(block.dataset, block.encoder, block.method, tuned)
    for key in ("dataset", "split"):
        yield from _compared(key, found[key], getattr(block, key))
    yield from _compared("seeds", found["seeds"], list(parse_seeds(block.seeds)))
    if block.settings != TUNED or tuned is not None:
        recipe = {key: value for key, value in found["recipe"].items() if key not in WITHOUT_EFFECT}
        yield from _compared("recipe", recipe, wanted["recipe"])
        if "training" in wanted:
            yield from _compared("training", found["training"], wanted["training"])
    yield from _compared("encoder", found["encoder"], wanted["encoder"])
    plugins = sorted(one["sha256"] for name, one in inputs.items() if name.startswith("plugin"))
    yield from _compared("plugins", plugins, wanted.get("plugins", []))
    code = code_digest(*code_of(plan.encoders[block.encoder], plan.recipes[block.method]))
    yield from _compared("package code", manifest["code_digest"], code)
    split = SHARED / "splits" / block.dataset / f"{plan.split_name(block.split)}.json"
    if split.is_file():
        # A split is known by its content.
        digest = read_json(split)["sha256"]
        yield from _compared(f"split ({split})", inputs["split"]["sha256"], digest)
    yield from _compared("members", found.get("members", []), list(block.members))
    features = SHARED / "features" / block.dataset / plan.inputs.folder(block.encoder)
    files = {
        "molecules": SHARED / "data" / block.dataset / "molecules.parquet",
        **({} if block.members else {"features": features / "features.json"}),
        **{
            f"member {name}": results / "runs" / name / "predictions.parquet"
            for name in block.members
        },
    }
    for name, path in files.items():
        if path.is_file():
            digest = _digest(path, path.stat().st_mtime_ns)
            yield from _compared(f"{name} ({path})", inputs[name]["sha256"], digest)


def _compared(name: str, found: Any, wanted: Any) -> Iterator[str]:
    """Yield a line for each setting in which two values differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            yield from _compared(f"{name}.{key}", found.get(key), wanted.get(key))
    elif found != wanted:
        yield f"{name}: it was made with {found!r}, the benchmark wants {wanted!r}"


@cache
def _digest(path: Path, modified: int) -> str:
    """SHA-256 of a file; the same file stands behind many blocks."""
    return file_digest(path)
