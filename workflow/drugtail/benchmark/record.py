"""Keeping what a run was planned with, so that its jobs and later readers find it unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from drugtail.benchmark.plan import Plan
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json, write_text
from drugtail.runtime.names import PLAN_VARIABLE, TUNED, parse_block_folder

README = """\
# Results

Written by each run. A folder `{method}-{digest}` holds blocks of one method with the settings that
the digest stands for: resolved recipe, encoder, training, plugin and the request to tune.
Benchmarks whose settings are equal share it. What else a block was made from (package code, data,
split, features) stands in its `manifest.json`.

`data/`, `splits/` and `features/` are shared by all benchmarks. `plans/` keeps what each run was
planned with; `drugtail clean` lists blocks that the latest plan of no benchmark names.

| folder below runs/ | settings | benchmarks |
| --- | --- | --- |
"""


def plan_path(plan: Plan, results: Path) -> Path:
    """Return the file that keeps a plan; another content has another name."""
    return results / "plans" / plan.file_name


def write_plan(plan: Plan, results: Path) -> Path:
    """Keep a plan, and write ``README.md`` of the results folder; return the plan's file."""
    path = plan_path(plan, results)
    if path.is_file():
        # The latest plan of a benchmark is the one that was written last.
        os.utime(path)
    else:
        write_json(path, plan.resolved)
    write_text(results / "README.md", describe_results(results))
    return path


def plan_in_force() -> Plan | None:
    """Return the plan that the running job belongs to; None outside of a workflow."""
    path = os.environ.get(PLAN_VARIABLE)
    return Plan.read(Path(path)) if path else None


def latest_plans(results: Path) -> dict[str, dict[str, Any]]:
    """Return what was kept of the latest plan of every benchmark, by the benchmark's name."""
    latest: dict[str, dict[str, Any]] = {}
    for path in sorted((results / "plans").glob("*.json"), key=lambda p: p.stat().st_mtime_ns):
        kept = read_json(path)
        if not isinstance(kept, dict) or not {"benchmark", "blocks"} <= set(kept):
            raise DrugtailError(f"{path}: is not a plan; delete it")
        latest[kept["benchmark"]["name"]] = kept
    return latest


def describe_results(results: Path) -> str:
    """Return ``README.md`` of a results folder: which folder of blocks is what, and whose."""
    rows: dict[str, tuple[str, list[str]]] = {}
    for name, kept in latest_plans(results).items():
        for path, block in kept["blocks"].items():
            folder = path.rpartition("/")[0]
            _, benchmarks = rows.setdefault(folder, (_described(block), []))
            if name not in benchmarks:
                benchmarks.append(name)
    lines = [
        f"| {folder} | {settings} | {', '.join(benchmarks)} |"
        for folder, (settings, benchmarks) in sorted(rows.items())
    ]
    return README + "\n".join(lines) + "\n"


def _described(block: dict[str, Any]) -> str:
    words = [block["method"]]
    if block["epochs"] is not None:
        words.append(f"{block['epochs']} epoch{'' if block['epochs'] == 1 else 's'}")
    words += [f"{key} {value}" for key, value in block.get("changes", {}).items()]
    words += ["tuned"] * (block["settings"] == TUNED)
    return ", ".join(words).replace("|", "/")


def unnamed_folders(results: Path) -> Iterator[Path]:
    """Yield the folders of blocks, tunings and checkpoints that no benchmark's latest plan names.

    A folder whose name has no digest, as earlier versions wrote them, is one of them.
    """
    named = {path for kept in latest_plans(results).values() for path in kept["blocks"]}
    settings = {path.rpartition("/")[0] for path in named}
    for kind, pattern in (("runs", "*/*/*/*/seeds*"), ("checkpoints", "*/*/*/*/seeds*")):
        for folder in sorted((results / kind).glob(pattern)):
            if "/".join(folder.parts[-5:]) not in named:
                yield folder
    for folder in sorted((results / "tuning").glob("*/*/*/*")):
        if "/".join(folder.parts[-4:]) not in settings:
            yield folder


def method_of(folder: Path) -> str:
    """Return the method whose blocks lie in a folder of `unnamed_folders`, for people."""
    named = folder.parent if folder.name.startswith("seeds") else folder
    return parse_block_folder(named.name)[0]
