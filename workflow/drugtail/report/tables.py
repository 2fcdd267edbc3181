"""Tables of mean ± standard deviation over seeds, in CSV, Markdown and LaTeX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config import Table
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path, read_parquet, write_text

ROW = ["dataset", "split", "encoder", "method"]
GAP = "—"
UNDEFINED = "n/a"
TEX = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}",
    "±": "$\\pm$", "−": "$-$", "→": "$\\to$", GAP: "---",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def tabulate(runs: Path, table: Table, output: Path, *, reference: str = "cross_entropy") -> None:
    """Write one table as ``{output}.csv``, ``.md`` and ``.tex``.

    Parameters
    ----------
    runs
        ``runs.parquet`` of `drugtail collect`.
    table
        Its definition.
    output
        Path without extension.
    reference
        Method that differences are taken against, paired by split and seed.

    Raises
    ------
    DrugtailError
        If a metric of the table is unknown.
    """
    frame = read_parquet(runs)
    columns = [f"{table.part}_{column.metric}" for column in table.columns]
    if (frame["status"] == "finished").any():
        missing = [name for name in columns if name not in frame]
        if missing:
            raise DrugtailError(
                f"table {table.name}: metric {missing[0].removeprefix(table.part + '_')!r} is "
                "unknown; `drugtail list metrics` names them all"
            )
    frame = frame.reindex(columns=[*ROW, "seed", "status", *columns])
    if table.difference:
        frame = paired_difference(frame, columns, reference)
    summary = summarise(frame, columns)
    with atomic_path(output.with_name(output.name + ".csv")) as temporary:
        summary.to_csv(temporary, index=False)
    printed = _printed(summary, table)
    notes = _notes(summary, table)
    write_text(output.with_name(output.name + ".md"), _markdown(printed, table.title, notes))
    write_text(output.with_name(output.name + ".tex"), _latex(printed, table, notes))


def summarise(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean and standard deviation (n − 1) of `columns` over the finished runs of each row.

    Returns
    -------
    pandas.DataFrame
        `ROW`, ``runs`` (finished), ``expected`` (all), ``diverged``, ``missing``, ``unpaired``
        and, per column, ``{column}_mean`` and ``{column}_std``; rows in the order in which they
        first appear.
    """
    rows = []
    for key, group in frame.groupby(ROW, sort=False):
        finished = group[group["status"] == "finished"]
        row = dict(zip(ROW, key, strict=True)) | {
            "runs": len(finished),
            "expected": len(group),
            "diverged": int((group["status"] == "diverged").sum()),
            "missing": int((group["status"] == "missing").sum()),
            "unpaired": int((group["status"] == "unpaired").sum()),
        }
        for column in columns:
            values = finished[column].dropna().to_numpy(dtype=float)
            row[f"{column}_mean"] = values.mean() if len(values) else np.nan
            row[f"{column}_std"] = values.std(ddof=1) if len(values) > 1 else np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def paired_difference(frame: pd.DataFrame, columns: list[str], reference: str) -> pd.DataFrame:
    """Subtract the reference method's metrics of the same data set, split and seed.

    The reference's own rows go. A run whose partner did not finish is ``unpaired``.
    """
    finished = frame["status"] == "finished"
    pair = ["dataset", "split", "seed"]
    base = frame[finished & (frame["method"] == reference)][pair + columns]
    if base.duplicated(pair).any():
        # Several encoders: compare within each; only methods of that encoder have a partner.
        pair = ["dataset", "split", "encoder", "seed"]
        base = frame[finished & (frame["method"] == reference)][pair + columns]
    others = frame[frame["method"] != reference]
    joined = others.merge(
        base, on=pair, how="left", suffixes=("", "_reference"), indicator="_partner"
    )
    alone = (joined["status"] == "finished") & (joined["_partner"] == "left_only")
    joined.loc[alone, "status"] = "unpaired"
    for column in columns:
        joined[column] = joined[column] - joined[f"{column}_reference"]
    return joined[list(frame.columns)]


def _printed(summary: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Cells as text."""
    printed = pd.DataFrame(
        {"Data set": summary["dataset"], "Split": summary["split"], "Method": summary["method"]}
    )
    if summary["encoder"].nunique() > 1:
        printed["Encoder"] = summary["encoder"]
    printed["Runs"] = [
        str(n) if n == of else f"{n} of {of}"
        for n, of in zip(summary["runs"], summary["expected"], strict=True)
    ]
    for column in table.columns:
        name = f"{table.part}_{column.metric}"
        cells = zip(summary["runs"], summary[f"{name}_mean"], summary[f"{name}_std"], strict=True)
        sign = "+" if table.difference else ""
        printed[column.title] = [
            _cell(n, mean * column.scale, std * column.scale, column.digits, sign)
            for n, mean, std in cells
        ]
    return printed


def _cell(runs: int, mean: float, std: float, digits: int, sign: str) -> str:
    if np.isnan(mean):
        return UNDEFINED if runs else GAP
    text = f"{mean:{sign}.{digits}f}"
    return text if np.isnan(std) else f"{text} ± {std:.{digits}f}"


def _notes(summary: pd.DataFrame, table: Table) -> list[str]:
    """What a reader of the table has to know."""
    notes = ["Mean ± standard deviation over the runs (seeds)."]
    if table.difference:
        notes = ["Mean ± standard deviation of the differences, paired by seed."]
    gaps = summary[summary["runs"] < summary["expected"]]
    if len(gaps):
        notes.append(
            f"Gaps: {int(gaps['diverged'].sum())} runs diverged and {int(gaps['missing'].sum())} "
            f"are missing; {GAP} marks a row without any finished run. Nothing is imputed."
        )
    if summary["unpaired"].any():
        notes.append(
            f"{int(summary['unpaired'].sum())} runs have no partner: the reference's run did not "
            "finish."
        )
    names = [f"{table.part}_{column.metric}_mean" for column in table.columns]
    finished = summary[summary["runs"] > 0]
    if finished[names].isna().to_numpy().any():
        notes.append(f"{UNDEFINED}: not defined there, for example a group without classes.")
    return notes


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
