"""Tables as CSV, Markdown and LaTeX."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.table import Style, Table
from drugtail.report.latex import Marks, latex
from drugtail.runtime.files import atomic_path, write_text

# Digits of numbers in CSV; beyond these, machines differ by rounding.
DIGITS = "%.8g"


def write_table(
    output: Path,
    table: Table,
    values: pd.DataFrame,
    printed: pd.DataFrame,
    notes: list[str],
    marks: Marks,
    style: Style = "journal",
) -> None:
    """Write a table as ``{output}.csv``, ``.md`` and ``.tex``.

    Parameters
    ----------
    output
        Path without extension.
    table
        Its definition: title and name.
    values, printed
        Its values, and the same as text; CSV has eight significant digits.
    notes
        Sentences below it.
    marks, style
        As of `drugtail.report.latex.latex`.
    """
    with atomic_path(output.with_name(output.name + ".csv")) as temporary:
        values.to_csv(temporary, index=False, float_format=DIGITS)
    write_text(output.with_name(output.name + ".md"), _markdown(printed, table.title, notes))
    write_text(output.with_name(output.name + ".tex"), latex(printed, table, notes, marks, style))


def _markdown(printed: pd.DataFrame, title: str, notes: list[str]) -> str:
    cells = [list(printed.columns), *printed.to_numpy().tolist()]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in cells]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
             for row in cells]  # fmt: skip
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    end = "" if title.endswith(("?", ".")) else "."
    return f"{title}{end}\n\n" + "\n".join(lines) + "\n\n" + "\n".join(notes) + "\n"
