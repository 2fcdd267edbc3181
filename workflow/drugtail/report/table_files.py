"""Tables as CSV, Markdown and LaTeX."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.table import Table
from drugtail.runtime.files import atomic_path, write_text

# Digits of numbers in CSV; beyond these, machines differ by rounding.
DIGITS = "%.8g"
TEX = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "†": "$\\dagger$", "±": "$\\pm$", "−": "$-$", "→": "$\\to$", "—": "---",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def write_table(
    output: Path, table: Table, values: pd.DataFrame, printed: pd.DataFrame, notes: list[str]
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
    """
    with atomic_path(output.with_name(output.name + ".csv")) as temporary:
        values.to_csv(temporary, index=False, float_format=DIGITS)
    write_text(output.with_name(output.name + ".md"), _markdown(printed, table.title, notes))
    write_text(output.with_name(output.name + ".tex"), _latex(printed, table, notes))


def _markdown(printed: pd.DataFrame, title: str, notes: list[str]) -> str:
    cells = [list(printed.columns), *printed.to_numpy().tolist()]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in cells]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
             for row in cells]  # fmt: skip
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return f"{title}.\n\n" + "\n".join(lines) + "\n\n" + "\n".join(notes) + "\n"


def _latex(printed: pd.DataFrame, table: Table, notes: list[str]) -> str:
    """A booktabs table."""
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        f"\\caption{{{_escaped(table.title)}. {_escaped(' '.join(notes))}}}",
        f"\\label{{tab:{table.name}}}",
        "\\begin{tabular}{" + "l" * (len(printed.columns) - len(table.columns))
        + "r" * len(table.columns) + "}",
        "\\toprule",
    ]  # fmt: skip
    for number, row in enumerate([list(printed.columns), *printed.to_numpy().tolist()]):
        lines.append(" & ".join(_escaped(str(cell)) for cell in row) + " \\\\")
        if number == 0:
            lines.append("\\midrule")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"]) + "\n"


def _escaped(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)
