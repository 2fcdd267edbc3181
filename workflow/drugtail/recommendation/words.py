"""An answer in words, for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from drugtail.evaluation.answer import (
    FEWEST,
    LOST,
    OVERALL,
    PARTS,
    RESCUED,
    UNJUDGED,
    Answer,
)
from drugtail.evaluation.derived_rows import uncorrected_name
from drugtail.evaluation.row_names import row_name
from drugtail.evaluation.statistics import BETTER, EQUAL, UNDECIDED, WORSE
from drugtail.runtime.logging import counted

# Classes that are printed; the page has all.
MOST_CLASSES = 30
WIDTH = 98
HEAD, MIDDLE, TAIL = (f"{OVERALL}_{part}" for part in ("head", "middle", "tail"))
# Characters of a mean with its interval.
CELL = 17


def in_words(answer: Answer, left_out: Mapping[str, Sequence[str]]) -> str:
    """Return an answer as lines of text.

    Parameters
    ----------
    answer
        The answer.
    left_out
        Why classes take no part -> their names.
    """
    lines = [
        *_chosen(answer), "", *_board(answer), "", *_gains(answer), "", *_classes(answer, left_out),
    ]  # fmt: skip
    return "\n".join(lines)


def _chosen(answer: Answer) -> Iterator[str]:
    first = answer.board.to_dict("records")[0]
    chance = 1 / len(answer.classes)
    others = len(answer.board) - 1
    yield f"Use {row_name(answer.method, answer.encoder)}"
    base, tau = uncorrected_name(answer.method)
    if tau is not None:
        yield (
            f"  (trained as {base}; from what it says of a class, {tau:g} times the log of the "
            "share of that class is taken off)"
        )
    yield (
        f"  balanced accuracy {_percent(first, OVERALL)} on test molecules, mean of "
        f"{counted(answer.splits, 'split')}; guessing has {100 * chance:.1f}"
    )
    if not first[f"{OVERALL}_low"] > chance:
        yield "  This is not told from guessing: do not rely on any of these methods."
    if others:
        yield f"  By test molecules, {answer.standing()} (equal: within a point)."
    if answer.names(EQUAL) or answer.names(UNDECIDED):
        yield "  It is one good choice among several: prefer one that is faster or that you know."
    yield "  It was chosen by validation molecules; test molecules took no part in the choice."
    if answer.tied > 1:
        yield f"  {answer.tied} rows are equally good on validation molecules; it is the first."
    yield "  A row is a method, or its predictions corrected (+prior)."


def _board(answer: Answer) -> Iterator[str]:
    """Every method by validation, with what test molecules say of it and of the difference."""
    board = answer.board
    names = answer.rows()
    width = max(map(len, names))
    parts = [name for name in (HEAD, MIDDLE, TAIL) if name in board]
    titles = {HEAD: "head", MIDDLE: "middle", TAIL: "tail"}
    yield "Balanced accuracy (mean recall over classes), percent; best by validation first"
    shown = "  ".join(f"{titles[name]:<6}" for name in parts)
    yield (f"  {'':<{width}}  valid  {'test':<{CELL}}  {shown}  seconds  test, less the first row")
    for name, row in zip(names, board.to_dict("records"), strict=True):
        cells = [f"{100 * row['validation']:<5.1f}", f"{_percent(row, OVERALL):<{CELL}}"]
        cells += [f"{100 * row[part]:<6.1f}" for part in parts]
        cells.append(f"{row['seconds']:<7.1f}")
        yield f"  {name:<{width}}  {'  '.join(cells)}  {_against(row)}".rstrip()
    yield (
        "  [ ]: 95 % interval, for other splits. better, worse: p < 0.05, corrected for "
        f"{counted(len(board) - 1, 'comparison')}; equal: within a point; undecided: neither."
    )


def _against(row: Mapping[Any, Any]) -> str:
    if not row["verdict"]:
        return ""
    return f"{100 * row['difference']:+.1f} {_bounds(row)} {row['verdict']}"


def _bounds(row: Mapping[Any, Any]) -> str:
    return f"[{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def _gains(answer: Answer) -> Iterator[str]:
    plain = row_name(answer.reference, answer.reference_encoder)
    if answer.gains.empty:
        yield f"It is the plain method itself: nothing else did better than {plain}."
        return
    yield f"What it gives and costs, in points against {plain} as it is [95 % interval]"
    for row in answer.gains.to_dict("records"):
        if np.isnan(row["difference"]):
            continue
        verdict = {BETTER: "gained", WORSE: "lost"}.get(row["verdict"], row["verdict"])
        yield (
            f"  {PARTS[row['metric']]:<18} {100 * row['difference']:+6.1f} {_bounds(row)}  "
            f"corrected p {row['p_holm']:.3f}  {verdict}"
        )


def _classes(answer: Answer, left_out: Mapping[str, Sequence[str]]) -> Iterator[str]:
    classes = answer.classes
    names = classes["label_name"].astype(str)
    width = min(40, max(5, names.str.len().max()))
    # The plain method may be the one that was chosen.
    both = answer.method != answer.reference
    before = f"by {answer.reference}, and " if both else ""
    yield (
        f"Recall of each class in percent: {before}by {answer.method} "
        "[95 % interval for as many parent compounds as were tested]"
    )
    yield f"  {'class':<{width}}  {'part':<6}  tested{'  before' if both else ''}  with it"
    for row in classes.head(MOST_CLASSES).to_dict("records"):
        name = str(row["label_name"])
        name = name if len(name) <= width else f"{name[: width - 1]}…"
        plain, recall, low, high = (100 * row[key] for key in ("plain", "recall", "low", "high"))
        line = (
            f"  {name:<{width}}  {row['group']:<6}  {row['parents']:6,}  "
            f"{f'{plain:6.1f}  ' if both else ''}{recall:5.1f} [{low:.0f}, {high:.0f}]  "
            f"{row['verdict']}"
        )
        yield line.rstrip()
    if len(classes) > MOST_CLASSES:
        yield f"  and {counted(len(classes) - MOST_CLASSES, 'smaller class')}, on the page"
    for verdict, text in (
        (
            RESCUED,
            "Rescued: more of those tested are recognised (two proportions, corrected p < 0.05)",
        ),
        (LOST, "Lost: fewer of those tested are recognised"),
        (UNJUDGED, f"Too few to judge: fewer than {FEWEST} parent compounds tested"),
    ):
        found = answer.classes_that_are(verdict)
        yield from _wrapped(f"{text}: {', '.join(found) or 'none'}")
    for reason, dropped in left_out.items():
        if dropped:
            yield from _wrapped(f"{reason}: {', '.join(dropped)}")


def _percent(row: Mapping[Any, Any], column: str) -> str:
    """Mean and interval of a share; beyond 0 and 100 there is none."""
    mean, low, high = (100 * row[key] for key in (column, f"{column}_low", f"{column}_high"))
    low, high = max(low, 0.0), min(high, 100.0)
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _wrapped(text: str) -> Sequence[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False)
