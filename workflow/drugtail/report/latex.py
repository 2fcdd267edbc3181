"""Tables in LaTeX that fit a page, whatever their size."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence

import pandas as pd

from drugtail.config.table import Style, Table
from drugtail.evaluation.leaders import BEST, TIED

# Place of a row and heading of a column -> `BEST` or `TIED`.
Marks = Mapping[tuple[int, str], str]

GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho "
    "sigma tau upsilon phi chi psi omega"
).split()
# Capitals that look like Latin ones, and omicron, have no command of their own.
LATIN = {"Alpha": "A", "Beta": "B", "Epsilon": "E", "Zeta": "Z", "Eta": "H", "Iota": "I",
         "Kappa": "K", "Mu": "M", "Nu": "N", "Omicron": "O", "Rho": "P", "Tau": "T",
         "Upsilon": "Y", "Chi": "X", "omicron": "o"}  # fmt: skip
TEX = {
    **{
        unicodedata.lookup(f"GREEK {case} LETTER {letter.upper().replace('LAMBDA', 'LAMDA')}"):
        LATIN.get(name, f"$\\{name}$")
        for letter in GREEK
        for case, name in (("SMALL", letter), ("CAPITAL", letter.capitalize()))
    },
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "†": "$\\dagger$", "±": "$\\pm$", "−": "$-$", "→": "$\\to$", "—": "---", "≥": "$\\geq$",
    "²": "$^2$", "³": "$^3$", "µ": "$\\mu$", "<": "$<$", ">": "$>$", "|": "$|$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip
# Columns that are said once beside a table if all rows have the same there.
SAID_ONCE = ("Data set", "Split", "Encoder", "Runs", "Settings")
# Columns of names, which are written as words.
NAMES = ("Method", "Against", "Encoder", "Data set", "Best baseline")
ACRONYMS = {
    name: name.upper() for name in (
        "bbn", "bcl", "crt", "drw", "ec1", "ec2", "ec3", "gat", "gcn", "gin", "hiv", "kcl", "ldam",
        "lws", "mlp", "ncm", "tlc", "tsc", "sbcl", "smote",
    )
} | {"lightgbm": "LightGBM", "xgboost": "XGBoost", "supcon": "SupCon", "paco": "PaCo",
     "cibl": "CIBL", "ride": "RIDE", "dive": "DiVE", "mesh": "MeSH"}  # fmt: skip
# Rows of a part, so that it is no higher than a page, and characters of a line of a heading.
MOST_ROWS, HEADING = 30, 14
# A table of longer lines, in characters, takes both columns of a journal's page.
NARROW = 55
MINUS = re.compile(r"(?<![\w.])-(?=[\d.])")
FITTED = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%"
MARKED = {BEST: "\\textbf", TIED: "\\textit"}
MARKS_NOTE = (
    "Bold: the best mean; italic: not told apart from it (corrected resampled t, p of 0.05 or more "
    "after Holm's correction over the rows of a column)."
)


def latex(
    printed: pd.DataFrame,
    table: Table,
    notes: Sequence[str],
    marks: Marks,
    style: Style = "journal",
) -> str:
    """Return a table for the package booktabs that is no wider than where it stands.

    Parameters
    ----------
    printed
        Cells as text.
    table
        Its definition.
    notes
        Sentences below it.
    marks
        Cells that are best, or not told apart from it.
    style
        ``journal``: a wide table takes both columns of a page. ``thesis``: the width of the text,
        and larger letters.

    A table of more than `MOST_ROWS` rows comes in parts. One that is still too wide is scaled down.
    """
    kept, common = said_once(printed)
    columns = list(kept.columns)
    wide = style == "journal" and _width(kept) > NARROW
    float_ = "table*" if wide else "table"
    words = [name in NAMES for name in columns]
    numbers = {column.title for column in table.columns}
    align = "".join("r" if _is_number(name, numbers) else "l" for name in columns)
    lines = ["% needs \\usepackage{booktabs} and \\usepackage{graphicx}"]
    rows = kept.to_numpy().tolist()
    parts = [range(at, min(at + MOST_ROWS, len(rows))) for at in range(0, len(rows), MOST_ROWS)]
    parts = parts or [range(0)]
    below = [*common, *notes, *([MARKS_NOTE] if marks else [])]
    for number, part in enumerate(parts):
        more = " (continued)" if number else ""
        lines += [
            *(["\\addtocounter{table}{-1}"] if number else []),
            f"\\begin{{{float_}}}",
            "\\centering",
            f"\\caption{{{escaped(table.title)}{more}}}",
            *([] if number else [f"\\label{{tab:{table.name}}}"]),
            "\\small" if style == "thesis" else "\\footnotesize",
            FITTED,
            f"\\begin{{tabular}}{{{align}}}",
            "\\toprule",
            " & ".join(map(_heading, columns)) + " \\\\",
            "\\midrule",
        ]
        for place in part:
            cells = [
                _cell(str(cell), marks.get((place, name), ""), word)
                for name, cell, word in zip(columns, rows[place], words, strict=True)
            ]
            lines.append(" & ".join(cells) + " \\\\")
        lines += ["\\bottomrule", "\\end{tabular}}"]
        if number == len(parts) - 1 and below:
            lines.append(f"\\par\\smallskip\\parbox{{\\linewidth}}{{{escaped(' '.join(below))}}}")
        lines.append(f"\\end{{{float_}}}")
    return "\n".join(lines) + "\n"


def said_once(printed: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Take out columns in which all rows are the same; the second value says them in sentences.

    A table of one row keeps its columns, since nothing is gained.
    """
    once = [
        name
        for name in SAID_ONCE
        if name in printed and len(printed) > 1 and printed[name].nunique() == 1
    ]
    common = [f"{name}: {printed[name].iloc[0]}." for name in once]
    return printed.drop(columns=once), common


def display_name(name: str) -> str:
    """Return the name of a method, an encoder or a data set in words.

    ``ldam_drw+prior_0.5`` is ``LDAM DRW + prior 0.5``.
    """
    words = name.replace("+", " + ").replace("_", " ").split()
    return " ".join(ACRONYMS.get(word, word) for word in words)


def escaped(text: str) -> str:
    """Return a text with every character that LaTeX would misread written as it wants it."""
    return "".join(TEX.get(character, character) for character in text)


def _width(kept: pd.DataFrame) -> int:
    """Return the length of a line of a table in characters, with two between its columns."""
    cells = [_lines(name) + kept[name].astype(str).tolist() for name in kept.columns]
    return sum(2 + max(map(len, column)) for column in cells)


def _is_number(name: str, numbers: set[str]) -> bool:
    # With data sets across, headings end in those of the table's columns.
    return name in numbers or name in ("Runs", "p", "p (Holm)", "Won", "Lost") or ": " in name


def _heading(text: str) -> str:
    """Break a long heading into lines."""
    shown = [escaped(line) for line in _lines(text)]
    stacked = " \\\\ ".join(shown)
    return stacked if len(shown) == 1 else f"\\shortstack{{{stacked}}}"


def _lines(heading: str) -> list[str]:
    return textwrap.wrap(heading, HEADING, break_long_words=False) or [""]


def _cell(text: str, mark: str, word: bool) -> str:
    shown = escaped(display_name(text) if word else MINUS.sub("−", text))
    return f"{MARKED[mark]}{{{shown}}}" if mark else shown
