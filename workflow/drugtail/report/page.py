"""A self-contained HTML page of a benchmark: tables and figures in one file."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from drugtail.evaluation.derived_rows import is_derived
from drugtail.report.plots import plot_of
from drugtail.runtime.files import read_json, write_text
from drugtail.runtime.names import TUNED
from drugtail.runtime.parquet import read_parquet

UNESCAPED_BAR = re.compile(r"(?<!\\)\|")


def build_page(
    *,
    title: str,
    notes: Sequence[str],
    runs: Path,
    tables: Sequence[Path],
    figures: Sequence[Path],
    datasets: Sequence[Path],
    splits: Sequence[Path],
    tunings: Sequence[Path],
    output: Path,
) -> None:
    """Write one HTML file that opens from disk, with everything inside.

    Parameters
    ----------
    title, notes
        Heading, and paragraphs that readers must know.
    runs
        ``runs.parquet``.
    tables
        Markdown files of `drugtail tabulate`.
    figures
        SVG files of `drugtail plot`.
    datasets
        ``dataset.json`` of each data set.
    splits
        JSON summaries of the splits.
    tunings
        ``best.json`` of each method that was tuned on a data set and split.
    output
        The HTML file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("drugtail", "report"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    frame = read_parquet(runs)
    # Rows of a correction are no runs.
    frame = frame[~is_derived(frame["method"])]
    states = frame["status"].value_counts()
    text = environment.get_template("page.html").render(
        title=title,
        notes=notes,
        datasets=[_dataset_row(read_json(path)) for path in datasets],
        splits=[_split_row(read_json(path)) for path in splits],
        tunings=[_tuning_row(read_json(path)) for path in tunings],
        states=states.to_dict(),
        expected=int(states.sum()),
        tuned=int((frame["settings"] == TUNED).sum()) if "settings" in frame else None,
        tables=[_table(path) for path in tables],
        figures=[_figure(path) for path in figures],
    )
    write_text(output, text)


def _table(path: Path) -> dict[str, Any]:
    """A Markdown table of ours as its parts."""
    title, body, notes = path.read_text(encoding="utf-8").split("\n\n", 2)
    head, _, *rows = [
        [cell.strip().replace("\\|", "|") for cell in UNESCAPED_BAR.split(line.strip()[1:-1])]
        for line in body.splitlines()
    ]
    return {"name": path.stem, "title": title, "head": head, "rows": rows, "notes": notes}


def _figure(path: Path) -> dict[str, str]:
    """A figure as a data address: an image element keeps its styles apart from the page's."""
    data = base64.b64encode(path.read_bytes()).decode()
    return {"source": f"data:image/svg+xml;base64,{data}", "caption": plot_of(path.stem).caption}


def _tuning_row(best: dict[str, Any]) -> dict[str, Any]:
    """Return the chosen settings as text, with numbers as short as possible."""
    chosen = [
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in best["changes"].items()
    ]
    return {**best, "chosen": ", ".join(chosen)}


def _dataset_row(summary: dict[str, Any]) -> dict[str, Any]:
    aside = {**summary["rejected"], **summary["left_out"], **summary["merged"]}
    return {**summary, "aside": aside}


def _split_row(summary: dict[str, Any]) -> dict[str, Any]:
    sizes = {subset: sum(counts) for subset, counts in summary["classes"].items()}
    smallest = {
        subset: min(filter(None, summary["classes"][subset]), default=0)
        for subset in ("train", "valid", "test")
    }
    return {**summary, "sizes": sizes, "smallest": smallest}
