"""The first screen of a page: the answer for each data set, and every method in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from drugtail.evaluation.across import mean_ranks
from drugtail.evaluation.answer import OVERALL, ROW, Answer, answer
from drugtail.evaluation.finished import FinishedBlocks
from drugtail.evaluation.row_names import row_name, row_names
from drugtail.evaluation.settings import tuned_name
from drugtail.evaluation.statistics import (
    BETTER,
    WORSE,
    by_split,
    compare_pairs,
    kind_of,
)
from drugtail.report.table_rows import p_as_text
from drugtail.runtime.errors import DrugtailError

# The first two are in sight on a phone.
COLUMNS = {
    OVERALL: "All classes",
    f"{OVERALL}_tail": "Tail",
    f"{OVERALL}_head": "Head",
    f"{OVERALL}_middle": "Middle",
    "validation": "Validation",
}
TAIL = f"{OVERALL}_tail"
# Rows that are compared pair by pair.
MOST_COMPARED = 15


class Cell(NamedTuple):
    """Text of a cell, and the number that a column is sorted by."""

    text: str
    order: float | str


class Board(NamedTuple):
    """The first screen of a data set on a kind of split."""

    answer: Answer
    kind: str
    title: str
    sentence: str
    head: list[str]
    rows: list[list[Cell]]


def boards(
    runs: pd.DataFrame, reference: str, blocks: FinishedBlocks | None = None
) -> Iterator[Board]:
    """Yield the answer for each data set and kind of split that has one.

    Parameters
    ----------
    runs
        ``runs.parquet``, tuned runs with names of their own.
    reference
        The method that gains are counted from; where it did not run, the first method is.
    blocks
        The finished blocks; without them nothing is said of classes.
    """
    for (dataset, kind), group in runs.groupby(
        ["dataset", runs["split"].map(kind_of).rename("kind")], sort=False
    ):
        methods = group["method"].unique().tolist()
        plain = tuned_name(group, reference)
        plain = plain if plain in methods else methods[0]
        classes = None if blocks is None else partial(blocks.classes, str(dataset), str(kind))
        try:
            found = answer(group, str(dataset), plain, classes)
        except DrugtailError:
            # With gaps everywhere nothing can be chosen; the page says that there are gaps.
            continue
        title = f"{dataset}, {kind}" if found.splits > 1 else f"{dataset}, {group['split'].iloc[0]}"
        columns = [name for name in COLUMNS if name in found.board]
        head = ["Method", "Encoder", *(COLUMNS[name] for name in columns), "Against the first",
                "Seconds"]  # fmt: skip
        rows = [_row(row, columns) for row in found.board.to_dict("records")]
        yield Board(found, str(kind), title, _sentence(found), head, rows)


def _sentence(found: Answer) -> str:
    first = found.board.to_dict("records")[0]
    best = "best" if found.tied < 2 else f"the first of {found.tied} that are equally good"
    text = (
        f"{row_name(found.method, found.encoder)} is {best} on validation molecules; on test "
        f"molecules its balanced accuracy is {_share(first, OVERALL)}"
    )
    if found.splits < 2:
        return f"{text} percent. {_tail(found)}A single split tells no method from another."
    text += f" percent (mean of {found.splits} splits; ± half its 95 % interval, for other splits)."
    text += f" {_tail(found)}"
    if len(found.board) > 1:
        text += f"By test molecules, {found.standing()} (equal: within a point)."
    gains = found.gains[found.gains["metric"] == OVERALL].to_dict("records")
    if gains and not np.isnan(gains[0]["difference"]):
        one = gains[0]
        text += (
            f" Against {row_name(found.reference, found.reference_encoder)}: "
            f"{100 * one['difference']:+.1f} points [{100 * one['low']:+.1f}, "
            f"{100 * one['high']:+.1f}], p {p_as_text(one['p_holm'])}: {one['verdict']}."
        )
    return text


def _tail(found: Answer) -> str:
    """Say its tail recall, and the row that has the highest; nothing where there is no tail."""
    if TAIL not in found.board or found.board[TAIL].isna().all():
        return ""
    recalls = found.board[TAIL]
    text = f"Its tail recall is {_share(found.board.iloc[0].to_dict(), TAIL)}"
    highest = int(recalls.to_numpy().argmax())
    if recalls.iloc[highest] > recalls.iloc[0]:
        share = _share(found.board.iloc[highest].to_dict(), TAIL)
        text += f", and the highest {share} ({found.rows()[highest]})"
    return f"{text}. "


def _row(row: Mapping[Any, Any], columns: list[str]) -> list[Cell]:
    cells = [Cell(row["method"], row["method"]), Cell(row["encoder"], row["encoder"])]
    cells += [Cell(_share(row, name), row[name]) for name in columns]
    against = "" if np.isnan(row["difference"]) else f"{100 * row['difference']:+.1f}"
    if against and not np.isnan(row["low"]):
        against += f" [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}] {row['verdict']}"
    return [
        *cells,
        Cell(against, row["difference"]),
        Cell(f"{row['seconds']:.1f}", row["seconds"]),
    ]


def _share(row: Mapping[Any, Any], column: str) -> str:
    value, low, high = (row.get(f"{column}{end}", np.nan) for end in ("", "_low", "_high"))
    if np.isnan(value):
        return "n/a"
    half = "" if np.isnan(low) else f" ± {50 * (high - low):.1f}"
    return f"{100 * value:.1f}{half}"


class Ranking(NamedTuple):
    """Rows of a benchmark ranked over its data sets of one kind of split."""

    kind: str
    datasets: list[str]
    left_out: list[str]
    rows: list[list[Cell]]


def rankings(runs: pd.DataFrame) -> Iterator[Ranking]:
    """Yield the ranks of rows over data sets, for each kind of split with two data sets or more.

    Parameters
    ----------
    runs
        ``runs.parquet``, tuned runs with names of their own.
    """
    means = by_split(runs[runs["status"] == "finished"], [OVERALL])
    for kind, group in means.groupby("kind", sort=False):
        wide = group.groupby(["dataset", *ROW], sort=False)[OVERALL].mean().unstack(ROW)
        whole = wide.dropna(axis=1)
        if len(whole) < 2 or whole.shape[1] < 2:
            continue
        gaps = wide.columns[wide.isna().any()].to_frame(index=False)
        left = row_names(gaps).tolist()
        rows = []
        for one in mean_ranks(whole).to_dict("records"):
            method, encoder = one["method"]
            rank = f"{one['rank']:.1f}"
            if not np.isnan(one["low"]):
                rank += f" [{one['low']:.1f}, {one['high']:.1f}]"
            each = [Cell(f"{100 * value:.1f}", value) for value in whole[one["method"]]]
            rows.append(
                [Cell(method, method), Cell(encoder, encoder), Cell(rank, one["rank"]), *each]
            )
        yield Ranking(str(kind), [str(name) for name in whole.index], left, rows)


def verdicts(runs: pd.DataFrame, found: Answer) -> pd.DataFrame | None:
    """Compare each pair of the best rows of a data set by balanced accuracy.

    Parameters
    ----------
    runs
        Runs of that data set and kind of split.
    found
        Their answer; the first `MOST_COMPARED` rows of its board are compared.

    Returns
    -------
    pandas.DataFrame or None
        Two rows a pair, one for each direction: ``method``, ``against`` (names with encoders),
        ``difference``, ``low``, ``high`` (in points), ``p`` (Holm's method over all pairs) and
        ``verdict`` on the method. None on a single split.
    """
    names = found.rows()[:MOST_COMPARED]
    if found.splits < 2 or len(names) < 2:
        return None
    named = runs.assign(method=row_names(runs), encoder="")
    pairs = [(one, two, OVERALL) for place, one in enumerate(names) for two in names[place + 1 :]]
    one_way = compare_pairs(named[named["status"] == "finished"], pairs)
    points = ["difference", "low", "high"]
    shown = one_way[["method", "against", *points, "p_holm", "verdict"]].copy()
    shown[points] *= 100
    turned = shown.rename(columns={"method": "against", "against": "method"})
    turned[points] = -shown[["difference", "high", "low"]].to_numpy()
    turned["verdict"] = shown["verdict"].replace({BETTER: WORSE, WORSE: BETTER})
    return pd.concat([shown, turned], ignore_index=True).rename(columns={"p_holm": "p"})
