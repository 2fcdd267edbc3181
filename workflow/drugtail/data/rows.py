"""The table of a data set: its files put together, columns added, rows filtered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.config.dataset import Dataset, Filter, Lookup
from drugtail.config.layout import Layout
from drugtail.data.tables import FOUND, read_table
from drugtail.runtime.errors import DrugtailError

GENERATED = "generated.csv"


class Rows:
    """All rows of a data set's table.

    Attributes
    ----------
    table : pandas.DataFrame
        Cells as text, a row per row of the files [N], numbered from 0.
    file : pandas.Series
        Name of the file that a row stands in, [N].
    row : pandas.Series
        Number of the row in that file, the first data row is 1, [N].
    subset : pandas.Series
        Part of the published split that the file is, by the register; missing if none, [N].
    reasons : pandas.Series
        Why a row is not used; empty if it is, [N].
    folder : Path
        Folder of the files.
    """

    def __init__(self, dataset: Dataset, raw: Path) -> None:
        wanted = _wanted(dataset)
        parts, files, subsets = [], [], []
        for name, subset, layout in _files(dataset):
            part = read_table(raw / name, wanted, layout)
            parts.append(part)
            files += [name] * len(part)
            subsets += [subset] * len(part)
        self.folder = raw
        self._own = {
            file.name: source.path
            for file in dataset.files
            for source in file.sources
            if source.path is not None
        }
        self.table = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        self.file = pd.Series(files, dtype=object)
        self.row = pd.Series(np.concatenate([np.arange(1, len(part) + 1) for part in parts]))
        self.subset = pd.Series(subsets, dtype=object)
        self.reasons = pd.Series("", index=self.table.index, dtype=object)
        for lookup in dataset.lookups:
            self._look_up(lookup, dataset)
        for rule in dataset.filters:
            self._filter(rule)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.table)

    def place(self, index: int) -> str:
        """Return file and row of one row, for messages."""
        return f"{self.path(self.file[index])}: row {self.row[index]}"

    def path(self, name: str) -> str:
        """Return the path of a file for messages: where the user has it, else the raw file's."""
        return str(self._own.get(name) or self.folder / name)

    def reject(self, where: pd.Series | NDArray[np.bool_], reasons: pd.Series | str) -> None:
        """Give a reason to the rows of a mask that have none yet."""
        where = where & (self.reasons == "")
        self.reasons[where] = reasons if isinstance(reasons, str) else reasons[where]

    def _look_up(self, lookup: Lookup, dataset: Dataset) -> None:
        """Add a column; rows whose value is not in the other file get a reason."""
        layout = next(file for file in dataset.files if file.name == lookup.file)
        other = read_table(self.folder / lookup.file, [lookup.key, lookup.value], layout)
        _check_column(self.table, lookup.column, f"{dataset.name}: lookups")
        repeated = other[lookup.key][other[lookup.key].duplicated()]
        if not repeated.empty:
            raise DrugtailError(
                f"{self.folder / lookup.file}: {lookup.key} {repeated.iloc[0]!r} stands in two "
                "rows; a lookup needs one"
            )
        values = other.set_index(lookup.key)[lookup.value]
        asked = self.table[lookup.column].str.strip()
        found = asked.map(values)
        self.reject(found.isna(), f"not in {lookup.file}: " + asked)
        self.table[lookup.name] = found.fillna("")

    def _filter(self, rule: Filter) -> None:
        _check_column(self.table, rule.column, "filters")
        cells = self.table[rule.column].str.strip()
        values = rule.one_of if rule.one_of is not None else rule.none_of or []
        unknown = sorted(set(values) - set(cells))
        if unknown:
            seen = ", ".join(repr(cell) for cell in cells.value_counts().index[:5])
            raise DrugtailError(
                f"filters: column {rule.column!r} holds no {unknown[0]!r}; it holds {seen} …; "
                "correct the value"
            )
        kept = cells.isin(values) == (rule.one_of is not None)
        self.reject(~kept, f"filtered out by {rule.column}: " + cells)


def check_own_tables(dataset: Dataset) -> None:
    """Read the tables of a data set that lie on this machine, and refuse a missing column.

    Published ones are not fetched.
    """
    for file in dataset.table_files:
        for source in file.sources:
            if source.path is not None and Path(source.path).is_file():
                read_table(Path(source.path), _wanted(dataset), file)


def _files(dataset: Dataset) -> list[tuple[str, str | None, Layout]]:
    if not dataset.files:
        return [(GENERATED, None, FOUND)]
    return [(file.name, file.subset, file) for file in dataset.table_files]


def _wanted(dataset: Dataset) -> list[str]:
    """Columns that the files themselves must have: not those that lookups add."""
    added = {lookup.name for lookup in dataset.lookups}
    extra = [lookup.column for lookup in dataset.lookups]
    extra += [rule.column for rule in dataset.filters]
    if dataset.one_row_per is not None:
        extra.append(dataset.one_row_per)
    wanted = [name for name in [*dataset.columns.used, *extra] if name not in added]
    return list(dict.fromkeys(wanted))


def _check_column(table: pd.DataFrame, name: str, where: str) -> None:
    if name not in table:
        raise DrugtailError(
            f"{where}: there is no column {name!r}; there are: {', '.join(map(str, table.columns))}"
        )
