"""The page on data sets: what the registers say, and what came out when they were prepared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from drugtail.config.catalogue import Catalogue
from drugtail.config.dataset import Dataset
from drugtail.evaluation.derived_rows import is_derived
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path, read_json, write_text
from drugtail.runtime.parquet import read_parquet

COMMAND = "drugtail datasets --results results --benchmark catalogue --output docs/datasets.md"
INTRODUCTION = f"""\
# Data sets

Made by `make benchmark NAME=catalogue` and then
`.venv/bin/{COMMAND}`
from the registers in `config/datasets` and from what preparing them gave.

*Repeats* is the share of molecules whose parent compound (the molecule without counter-ions,
charges and stereochemistry) has stood in a row before; of pairs, both are compared. Drawn splits
keep parents together. *Imbalance* is the largest class divided by the smallest. *Balanced accuracy*
is that of one random forest (100 trees on Morgan fingerprints, not tuned) on the test molecules of
one split by parent, with one seed: it describes a set and compares nothing.
"""


def datasets_page(catalogue: Catalogue, results: Path, benchmark: str, output: Path) -> None:
    """Write the page, and a picture of the class sizes of each prepared set beside it.

    Parameters
    ----------
    catalogue
        The registers.
    results
        Folder with ``data/{dataset}/dataset.json`` and ``metrics/{benchmark}/runs.parquet``.
    benchmark
        Benchmark whose balanced accuracies are shown.
    output
        The Markdown file; pictures go into ``datasets/`` beside it.

    Raises
    ------
    DrugtailError
        If no data set is prepared.
    """
    registers = [catalogue.dataset(name) for name in catalogue.names("datasets")]
    prepared = {
        task.name: read_json(path)
        for register in registers
        for task in register.each_task()
        if (path := results / "data" / task.name / "dataset.json").is_file()
    }
    if not prepared:
        raise DrugtailError(f"{results}/data: no data set is prepared; run the benchmark first")
    scores = _scores(results / "metrics" / benchmark / "runs.parquet")
    pictures = output.parent / "datasets"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, facts in prepared.items():
        _draw_sizes(facts, pictures / f"{name}.png")
    lines = [INTRODUCTION, *_table(prepared, scores)]
    for register in registers:
        lines += _section(register, prepared, pictures.name)
    write_text(output, "\n".join(lines) + "\n")


def _scores(path: Path) -> dict[str, float]:
    """Balanced accuracy by data set; none where the benchmark has not been run."""
    if not path.is_file():
        return {}
    runs = read_parquet(path)
    runs = runs[~is_derived(runs["method"])]
    means: pd.Series = runs.groupby("dataset")["test_balanced_accuracy"].mean()
    return {str(name): float(value) for name, value in means.items()}


def _repeats(facts: dict[str, Any]) -> float:
    """Share of molecules whose parent has stood in a row before."""
    repeats = facts["repeats"]
    rows = repeats["distinct_parents"] + repeats["rows_that_repeat_a_parent"]
    return float(repeats["rows_that_repeat_a_parent"] / rows)


def _table(prepared: dict[str, Any], scores: dict[str, float]) -> list[str]:
    lines = [
        "| Data set | Rows | Molecules | Classes | Imbalance | Repeats | Balanced accuracy |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, facts in sorted(prepared.items()):
        score = f"{100 * scores[name]:.1f}" if name in scores else ""
        lines.append(
            f"| {name} | {facts['rows']:,} | {facts['molecules']:,} | {len(facts['classes'])} | "
            f"{facts['imbalance_ratio']:,} | {_repeats(facts):.1%} | {score} |"
        )
    return [*lines, ""]


def _section(register: Dataset, prepared: dict[str, Any], pictures: str) -> list[str]:
    tasks = register.each_task()
    names = [task.name for task in tasks]
    lines = [f"## {register.name}", "", f"{register.title}: {register.task}.", ""]
    if register.synthetic:
        lines += ["Synthetic: generated, not measured.", ""]
    lines += [
        text for one in (register.meaning, register.note) if one for text in (one.strip(), "")
    ]
    lines += [f"- Licence: {register.licence}", f"- Cite: {register.citation}"]
    if len(names) > 1:
        lines.append(f"- Data sets: {', '.join(f'`{name}`' for name in names)}")
    for file in register.files:
        lines.append(f"- File: {file.sources[0].url or file.sources[0].path}")
    for name in names:
        if name in prepared:
            lines += ["", *_facts(name, prepared[name], pictures)]
    if not any(name in prepared for name in names):
        lines += ["", "Not prepared for this page."]
    return [*lines, ""]


def _facts(name: str, facts: dict[str, Any], pictures: str) -> list[str]:
    aside = {**facts["rejected"], **facts["left_out"], **facts["merged"]}
    told = [f"{facts['molecules']:,} of {facts['rows']:,} rows are molecules of the set"]
    told += [f"{number:,} {reason}" for reason, number in aside.items()]
    told += [f"{number:,} with {note}" for note, number in facts["notes"].items()]
    repeats = facts["repeats"]
    told.append(
        f"{repeats['distinct_parents']:,} parents, {repeats['parents_with_several_classes']:,} of "
        "them in several classes"
    )
    alt = f"Molecules per class of {name}, largest first, on a logarithmic scale"
    return [f"**{name}**: {'; '.join(told)}.", "", f"![{alt}]({pictures}/{name}.png)"]


def _draw_sizes(facts: dict[str, Any], path: Path) -> None:
    """Draw molecules per class, largest first."""
    sizes: Sequence[int] = sorted((one["molecules"] for one in facts["classes"]), reverse=True)
    figure = Figure(figsize=(5, 1.6), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(sizes)), sizes, width=0.8 if len(sizes) < 40 else 1.0, color="#4477aa")
    # From below one, so that heights compare and a class of one is seen.
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.set_ylabel("molecules")
    axes.set_xticks([])
    axes.set_xlabel(f"{len(sizes)} classes")
    axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(path) as temporary:
        # Without the version of the library, so that equal pictures are equal files.
        figure.savefig(temporary, format="png", dpi=80, metadata={"Software": None})
