"""An answer in words, for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from drugtail.evaluation.answer import LOST, OVERALL, PARTS, RESCUED, UNJUDGED, Answer
from drugtail.evaluation.derived_rows import uncorrected_name
from drugtail.evaluation.statistics import BETTER, UNDECIDED, WORSE
from drugtail.runtime.logging import counted

# Classes that are printed; the page has all.
MOST_CLASSES = 30
WIDTH = 98
HEAD, TAIL = f"{OVERALL}_head", f"{OVERALL}_tail"
# Characters of a mean with its interval.
CELL = 17


def in_words(answer: Answer) -> str:
    """Return an answer as lines of text."""
    lines = [
        *_chosen(answer), "", *_board(answer), "", *_gains(answer), "", *_classes(answer),
    ]  # fmt: skip
    return "\n".join(lines)


def _chosen(answer: Answer) -> Iterator[str]:
    first = answer.board.to_dict("records")[0]
    yield f"Use {_named(answer.method, answer.encoder)}"
    base, tau = uncorrected_name(answer.method)
    if tau is not None:
        yield (
            f"  ({base} as it is, with {tau:g} times the log of the class shares taken off what it "
            "says; `drugtail predict` does that)"
        )
    yield (
        f"  balanced accuracy {_percent(first, OVERALL)} on test molecules, "
        f"mean of {counted(answer.splits, 'split')}"
    )
    yield (
        f"  It was chosen among {len(answer.board)} by validation molecules; test molecules took "
        "no part in the choice."
    )


def _board(answer: Answer) -> Iterator[str]:
    """Every method by validation, with what test molecules say of it and of the difference."""
    board = answer.board
    names = board["method"] + " on " + board["encoder"]
    width = names.str.len().max()
    parts = [name for name in (OVERALL, HEAD, TAIL) if name in board]
    titles = {OVERALL: "all classes", HEAD: "head", TAIL: "tail"}
    yield "Recall on test molecules in percent [95 % interval]; against the first: of all classes"
    shown = "  ".join(f"{titles[name]:<{CELL if name == OVERALL else 5}}" for name in parts)
    yield f"  {'by validation':<{width}}  {shown}  against the first"
    for name, row in zip(names, board.to_dict("records"), strict=True):
        cells = [f"{_percent(row, OVERALL):<{CELL}}"]
        cells += [f"{100 * row[part]:<5.1f}" for part in parts[1:]]
        yield f"  {name:<{width}}  {'  '.join(cells)}  {_against(row)}".rstrip()
    undecided = len(answer.names(UNDECIDED))
    if undecided:
        yield (
            f"Of the {len(board) - 1} others {undecided} are undecided: these data do not tell "
            "whether they are better or worse than the first."
        )


def _against(row: Mapping[Any, Any]) -> str:
    if not row["verdict"]:
        return ""
    return f"{100 * row['difference']:+.1f} {_bounds(row)} {row['verdict']}"


def _bounds(row: Mapping[Any, Any]) -> str:
    return f"[{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def _gains(answer: Answer) -> Iterator[str]:
    plain = _named(answer.reference, answer.reference_encoder)
    if answer.gains.empty:
        yield f"It is the plain method itself: nothing else did better than {plain}."
        return
    yield f"What it gives and costs, in points against plain {plain} [95 % interval]"
    for row in answer.gains.to_dict("records"):
        if np.isnan(row["difference"]):
            continue
        verdict = {BETTER: "gained", WORSE: "lost"}.get(row["verdict"], row["verdict"])
        yield (
            f"  {PARTS[row['metric']]:<18} {100 * row['difference']:+6.1f} {_bounds(row)}  "
            f"p {row['p_holm']:.3f}  {verdict}"
        )


def _classes(answer: Answer) -> Iterator[str]:
    classes = answer.classes
    names = classes["label_name"].astype(str)
    width = min(40, max(5, names.str.len().max()))
    yield "Recall of each class in percent, of distinct parent compounds tested [95 % interval]"
    yield f"  {'class':<{width}}  {'part':<6}  tested  plain  now"
    for row in classes.head(MOST_CLASSES).to_dict("records"):
        name = str(row["label_name"])
        name = name if len(name) <= width else f"{name[: width - 1]}…"
        plain, recall, low, high = (100 * row[key] for key in ("plain", "recall", "low", "high"))
        line = (
            f"  {name:<{width}}  {row['group']:<6}  {row['parents']:6,}  {plain:5.1f}  "
            f"{recall:5.1f} [{low:.0f}, {high:.0f}]  {row['verdict']}"
        )
        yield line.rstrip()
    if len(classes) > MOST_CLASSES:
        yield f"  and {counted(len(classes) - MOST_CLASSES, 'smaller class')}, on the page"
    for verdict, text in (
        (RESCUED, "Rescued (recall rises for sure)"),
        (LOST, "Lost (recall falls for sure)"),
        (UNJUDGED, "Too few molecules to judge"),
    ):
        found = answer.classes_that_are(verdict)
        yield from _wrapped(f"{text}: {', '.join(found) or 'none'}")


def _named(method: str, encoder: str) -> str:
    return f"{method} on {encoder}"


def _percent(row: Mapping[Any, Any], column: str) -> str:
    mean, low, high = (100 * row[key] for key in (column, f"{column}_low", f"{column}_high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _wrapped(text: str) -> Sequence[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False)
