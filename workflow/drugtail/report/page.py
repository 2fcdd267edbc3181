"""A self-contained HTML page of a benchmark: tables and figures in one file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from drugtail.evaluation.answer import OVERALL, Answer
from drugtail.evaluation.class_recalls import class_recalls
from drugtail.evaluation.derived_rows import is_derived, uncorrected_name
from drugtail.evaluation.finished import FinishedBlocks
from drugtail.evaluation.row_names import row_name, row_names
from drugtail.evaluation.settings import with_tuned_names
from drugtail.evaluation.statistics import kind_of
from drugtail.report.latex import SAID_ONCE
from drugtail.report.leaderboard import Board, boards, rankings, verdicts
from drugtail.report.mistakes import Mistakes, mistakes_of
from drugtail.report.plots import plot_of
from drugtail.report.reclustering import reclusterings
from drugtail.report.structures import svg_address
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_text
from drugtail.runtime.names import TUNED
from drugtail.runtime.parquet import read_parquet

UNESCAPED_BAR = re.compile(r"(?<!\\)\|")
NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+")
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
    blocks: Sequence[Path] = (),
    history: Path | None = None,
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
        ``dataset.json`` of each data set; ``molecules.parquet`` lies beside it.
    splits
        JSON summaries of the splits.
    tunings
        ``best.json`` of each method that was tuned on a data set and split.
    output
        The HTML file.
    blocks
        Folders of the blocks; without them the page says nothing of single classes and molecules.
    history
        ``class_history.parquet``; without it the page says nothing of re-clusterings.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("drugtail", "report"), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    frame = with_tuned_names(read_parquet(runs))
    finished = FinishedBlocks(blocks) if blocks else None
    of_classes = with_tuned_names(read_parquet(classes))
    measured = None if history is None else with_tuned_names(read_parquet(history))
    molecules = {path.parent.name: path.with_name("molecules.parquet") for path in datasets}
    shown = [
        _screen(board, frame, of_classes, measured, finished, molecules)
        for board in boards(frame, reference, finished)
    ]
    # Rows of a correction are no runs.
    frame = frame[~is_derived(frame["method"])]
    states = frame["status"].value_counts()
    text = environment.get_template("page.html").render(
        title=title,
        notes=notes,
        screens=shown,
        rankings=list(rankings(frame)),
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
    """A board of a data set on a kind of split, with its charts and what was wrong."""

    board: Board
    charts: dict[str, str]
    left_out: int
    mistakes: Mistakes | None
    not_followed: int


def _screen(
    board: Board,
    runs: pd.DataFrame,
    classes: pd.DataFrame,
    history: pd.DataFrame | None,
    blocks: FinishedBlocks | None,
    molecules: Mapping[str, Path],
) -> Screen:
    """Draw the charts of a board; each is a specification as JSON."""
    # Takes a second to import.
    from drugtail.report.charts import encoder_chart, plane, reclustering_chart, verdict_chart

    found = board.answer
    charts = {"plane": plane(found), "encoders": encoder_chart(found.board, OVERALL)}

    def of_board(frame: pd.DataFrame) -> pd.DataFrame:
        kinds = frame["split"].map(kind_of)
        return frame[(frame["dataset"] == found.dataset) & (kinds == board.kind)]

    own, rows = of_board(runs), of_board(classes)
    pairs = verdicts(own, found)
    if pairs is not None:
        charts["verdicts"] = verdict_chart(pairs, list(dict.fromkeys(pairs["method"])))
    mistakes = None
    if blocks is not None:
        row = (found.dataset, board.kind, found.method, found.encoder)
        if uncorrected_name(found.method)[1] is not None:
            rows = pd.concat([rows, blocks.classes(*row)], ignore_index=True)
        if found.dataset not in molecules:
            raise DrugtailError(
                f"--dataset: has no dataset.json of {found.dataset}, whose blocks are given; name "
                "it, or leave its blocks out"
            )
        mistakes = mistakes_of(*blocks.of(*row), molecules[found.dataset])
        charts |= mistakes.charts
    charts["classes"], left_out = _of_classes(found, rows[rows["subset"] == "test"])
    not_followed = 0
    if history is not None and len(history):
        measured, not_followed = reclusterings(of_board(history), rows, found.rows())
        charts["reclusterings"] = reclustering_chart(measured)
    embedded = {name: _embedded(drawn) for name, drawn in charts.items() if drawn is not None}
    return Screen(board, embedded, left_out, mistakes, not_followed)


def _of_classes(found: Answer, tested: pd.DataFrame) -> tuple[dict[str, Any] | None, int]:
    """Draw recalls of classes, and count the methods that are left out."""
    from drugtail.report.charts import class_recalls_chart

    if tested.empty:
        return None, 0
    recalls = class_recalls(tested)
    recalls["name"] = row_names(recalls)
    kept = [name for name in found.rows() if name in set(recalls["name"])]
    most = max(2, MOST_DOTS // recalls["label"].nunique())
    recalls = recalls[recalls["name"].isin(kept[:most])]
    chosen = row_name(found.method, found.encoder)
    # Without the blocks, rows with a correction have no metrics of classes.
    trained = row_name(uncorrected_name(found.method)[0], found.encoder)
    first = chosen if chosen in kept else trained
    second = row_name(found.reference, found.reference_encoder)
    others = [name for name in kept[:most] if name != first] or [first]
    return (
        class_recalls_chart(recalls, first, second if second in others else others[0]),
        max(0, len(kept) - most),
    )


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
    return {"source": svg_address(path.read_bytes()), "caption": plot_of(path.stem).caption}


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
