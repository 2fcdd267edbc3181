"""Tables in CSV, Markdown and LaTeX: of which kinds there are, and how one is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from drugtail.config.table import OF_A_RUN, Style, Table, TableColumn
from drugtail.evaluation.evaluate import NEW_PARENTS
from drugtail.report.latex import Marks
from drugtail.report.table_files import write_table
from drugtail.runtime.errors import DrugtailError, file_of
from drugtail.runtime.parquet import read_parquet
from drugtail.runtime.registry import Registry


class Contents(NamedTuple):
    """Contents of a table: its values, the same as text, and notes for the reader."""

    values: pd.DataFrame
    printed: pd.DataFrame
    notes: list[str]
    # Cells that are best, or not told apart from it: LaTeX marks them.
    marks: Marks = MappingProxyType({})


# Metrics of a benchmark, definition of a table, reference method -> what the table says.
TABLE_KINDS: Registry[Callable[[Path, Table, str], Contents]] = Registry(
    "kind of table", "drugtail.report.table_kinds"
)


def tabulate(
    metrics: Path,
    table: Table,
    output: Path,
    *,
    reference: str = "cross_entropy",
    style: Style = "journal",
) -> None:
    """Write one table as ``{output}.csv``, ``.md`` and ``.tex``.

    Parameters
    ----------
    metrics
        Folder that `drugtail collect` wrote.
    table
        Its definition.
    output
        Path without extension.
    reference
        Method that differences are taken against, paired by split and seed.
    style
        LaTeX for a ``journal``, where a wide table takes both columns of a page, or a ``thesis``.

    Raises
    ------
    DrugtailError
        If a metric of the table is unknown.
    """
    if table.kind not in TABLE_KINDS.names():
        raise DrugtailError(
            f"table {table.name}: kind {table.kind!r} is unknown; there are "
            f"{', '.join(TABLE_KINDS.names())}; one of your own needs its file: --plugin"
        )
    table = _without_repetition(table, metrics)
    with TABLE_KINDS.blamed(table.kind, f"table {table.name}: kind {table.kind!r}"):
        contents = TABLE_KINDS[table.kind](metrics, table, reference)
    if not isinstance(contents, Contents):
        raise DrugtailError(
            f"table {table.name}: kind {table.kind!r} ({file_of(TABLE_KINDS[table.kind])}) gives "
            f"{type(contents).__name__}; return drugtail.report.tables.Contents"
        )
    write_table(output, table, *contents, style)


def _without_repetition(table: Table, metrics: Path) -> Table:
    """Leave out columns on new parents that say the same as those on all test molecules.

    They do where parents are kept together. Runs that were published before they were told apart
    do not have them.
    """
    own = [column for column in table.columns if column.subset == NEW_PARENTS]
    path = metrics / "runs.parquet"
    if not own or not path.is_file():
        return table
    runs = read_parquet(path)
    has_any = any(str(name).startswith(NEW_PARENTS) for name in runs)
    dropped = [
        column
        for column in own
        if not has_any or _same(runs, column_of(table, column), f"test_{column.metric}")
    ]
    kept = [column for column in table.columns if column not in dropped]
    return table.model_copy(update={"columns": kept})


def _same(runs: pd.DataFrame, one: str, two: str) -> bool:
    return {one, two} <= set(runs) and runs[one].equals(runs[two])


def column_of(table: Table, column: TableColumn) -> str:
    """Return the column of runs.parquet with a metric: of a subset, or a fact of the run itself."""
    if column.metric in OF_A_RUN:
        return column.metric
    return f"{column.subset or table.subset}_{column.metric}"
