"""A self-contained HTML page of a benchmark: tables and figures in one file."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from drugtail.evaluation.class_recalls import class_recalls
from drugtail.evaluation.derived_rows import is_derived, uncorrected_name
from drugtail.evaluation.statistics import kind_of
from drugtail.report.leaderboard import Board, boards
from drugtail.report.plots import plot_of
from drugtail.runtime.files import read_json, write_text
from drugtail.runtime.names import TUNED
from drugtail.runtime.parquet import read_parquet

UNESCAPED_BAR = re.compile(r"(?<!\\)\|")
NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+")
# Columns that are said once above a table if all rows have the same there.
SAID_ONCE = ("Data set", "Split", "Encoder", "Runs", "Settings")
# A chart of classes with more dots has the best methods alone.
MOST_DOTS = 12_000


def build_page(
    *,
    title: str,
    notes: Sequence[str],
    runs: Path,
    classes: Path,
    reference: str,
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
    runs, classes
        ``runs.parquet`` and ``class_metrics.parquet``.
    reference
        The method that gains are counted from.
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
    shown = [_screen(board, read_parquet(classes)) for board in boards(frame, reference)]
    # Rows of a correction are no runs.
    frame = frame[~is_derived(frame["method"])]
    states = frame["status"].value_counts()
    text = environment.get_template("page.html").render(
        title=title,
        notes=notes,
        screens=shown,
        scripts=_scripts(any(one.charts for one in shown)),
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


class Screen(NamedTuple):
    """A board of a data set on a kind of split, with its charts."""

    board: Board
    charts: dict[str, str]
    left_out: int


def _screen(board: Board, classes: pd.DataFrame) -> Screen:
    """Draw the charts of a board; each is a specification as JSON."""
    # Takes a second to import.
    from drugtail.report.charts import class_recalls_chart, plane

    charts = {}
    found = board.answer
    drawn = plane(found)
    if drawn is not None:
        charts["plane"] = _embedded(drawn)
    tested = classes[
        (classes["dataset"] == found.dataset)
        & (classes["subset"] == "test")
        & (classes["split"].map(kind_of) == board.kind)
    ]
    left_out = 0
    if not tested.empty:
        recalls = class_recalls(tested)
        recalls["name"] = recalls["method"] + " on " + recalls["encoder"]
        order = (found.board["method"] + " on " + found.board["encoder"]).tolist()
        kept = [name for name in order if name in set(recalls["name"])]
        most = max(2, MOST_DOTS // recalls["label"].nunique())
        left_out = max(0, len(kept) - most)
        recalls = recalls[recalls["name"].isin(kept[:most])]
        # Rows with a correction have no metrics of classes; the method stands for them.
        first = f"{uncorrected_name(found.method)[0]} on {found.encoder}"
        second = f"{found.reference} on {found.reference_encoder}"
        others = [name for name in kept[:most] if name != first]
        charts["classes"] = _embedded(
            class_recalls_chart(recalls, first, second if second in others else others[0])
            if others
            else class_recalls_chart(recalls, first, first)
        )
    return Screen(board, charts, left_out)


def _embedded(specification: dict[str, Any]) -> str:
    """JSON that can stand in a script of HTML, whatever classes are called."""
    return json.dumps(specification, separators=(",", ":")).replace("<", "\\u003c")


def _scripts(charts: bool) -> dict[str, str]:
    """Libraries that the page brings along: DataTables, and Vega if it has charts."""
    package = resources.files("itables") / "html"
    found = {
        "table_style": (package / "dt_bundle.css").read_text(encoding="utf-8"),
        "tables": _inside((package / "dt_bundle.js").read_text(encoding="utf-8")),
    }
    if charts:
        import vl_convert

        found["charts"] = _inside(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    return found


def _inside(code: str) -> str:
    """Code that does not end the script of HTML that it stands in."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _table(path: Path) -> dict[str, Any]:
    """A Markdown table of ours as its parts; what all rows have in common is said once."""
    title, body, notes = path.read_text(encoding="utf-8").split("\n\n", 2)
    head, _, *rows = [
        [cell.strip().replace("\\|", "|") for cell in UNESCAPED_BAR.split(line.strip()[1:-1])]
        for line in body.splitlines()
    ]
    common = [
        place
        for place, name in enumerate(head)
        if name in SAID_ONCE and len({row[place] for row in rows}) == 1
    ]
    kept = [place for place in range(len(head)) if place not in common]
    return {
        "name": path.stem,
        "title": title,
        "common": [(head[place], rows[0][place]) for place in common],
        "head": [head[place] for place in kept],
        "rows": [[(row[place], _order(row[place])) for place in kept] for row in rows],
        "notes": notes,
    }


def _order(cell: str) -> str:
    """Return the number that a cell begins with, else its text; cells are sorted by it."""
    found = NUMBER.match(cell)
    return found[0].replace(",", "").removeprefix("+") if found else cell


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
