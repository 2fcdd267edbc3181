"""Text with a separator between cells."""

from __future__ import annotations

import csv
import io
from itertools import islice
from pathlib import Path

import pandas as pd

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS, TableFormat, decoded
from drugtail.runtime.errors import DrugtailError

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# Rows by which a separator is found.
SAMPLE = 100
LONGEST_CELL = 100_000_000


@FORMATS.register("delimited")
class Delimited(TableFormat):
    """CSV, TSV and the like: text with commas, semicolons, tabs or bars between cells."""

    rank = 100

    def recognises(self, content: bytes, name: str) -> bool:
        """See `TableFormat.recognises`; everything else that is text."""
        return True

    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """See `TableFormat.read`; empty lines, line ends and quotes of all kinds are fine."""
        text = decoded(content, layout, path)
        if not text.strip():
            raise DrugtailError(f"{path}: is empty; delete it and fetch it again")
        separator = layout.separator or found_separator(text, wanted)
        try:
            rows = _rows(text, separator)
        except csv.Error as error:
            raise DrugtailError(f"{path}: is not a proper CSV ({error}); mend that row") from None
        if not any(cell.strip() for row in rows for cell in row):
            raise DrugtailError(f"{path}: is empty; delete it and fetch it again")
        header = layout.header or rows[0]
        body = rows if layout.header else rows[1:]
        for number, row in enumerate(body, start=1):
            if len(row) != len(header):
                shown = separator.join(row)[:60]
                raise DrugtailError(
                    f"{path}: is not a proper CSV (row {number}, {shown!r}, has {len(row)} fields, "
                    f"the header {len(header)}, with {NAMES.get(separator, repr(separator))} "
                    f"between them); mend that row, or {_advice(layout)}"
                )
        return pd.DataFrame(body, columns=[name.strip() for name in header], dtype=str)


def _advice(layout: Layout) -> str:
    if layout.separator is None:
        return "declare `separator` of this file (--separator on the command line)"
    return "leave the declared separator out, so that it is found"


def _rows(text: str, separator: str, most: int | None = None) -> list[list[str]]:
    """Rows of a text that are not empty, `most` of them."""
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        return [row for row in islice(reader, most) if row]
    finally:
        csv.field_size_limit(before)


def found_separator(text: str, wanted: list[str]) -> str:
    """Return the separator of a text: the one that gives the wanted columns, or the same number
    of cells in most of its first rows; a comma if there is none.
    """

    def fit(separator: str) -> tuple[bool, float, int]:
        try:
            rows = _rows(text, separator, SAMPLE)
        except csv.Error:
            return False, 0.0, 0
        if not rows or len(rows[0]) < 2:
            return False, 0.0, 0
        width = len(rows[0])
        named = bool(wanted) and set(wanted) <= {cell.strip() for cell in rows[0]}
        return named, sum(len(row) == width for row in rows) / len(rows), width

    return max(SEPARATORS, key=fit)
