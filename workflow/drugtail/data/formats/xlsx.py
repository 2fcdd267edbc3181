"""Workbooks."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS, TableFormat
from drugtail.runtime.errors import DrugtailError


@FORMATS.register("xlsx")
class Xlsx(TableFormat):
    """XLSX: a sheet of an Excel workbook, every cell as its value."""

    rank = 1

    def recognises(self, content: bytes, name: str) -> bool:
        """See `TableFormat.recognises`."""
        if not content.startswith(b"PK"):
            return False
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return "xl/workbook.xml" in archive.namelist()
        except zipfile.BadZipFile:
            return name.endswith(".xlsx")

    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """See `TableFormat.read`; a whole number has no decimals, an empty cell no text."""
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException

        try:
            book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as error:
            raise DrugtailError(
                f"{path}: is a damaged workbook ({error}); save it again, or as CSV"
            ) from None
        names = book.sheetnames
        if layout.sheet is None and len(names) > 1:
            raise DrugtailError(
                f"{path}: has {len(names)} sheets ({', '.join(names)}); name one: `sheet` of this "
                "file, --sheet on the command line"
            )
        sheet = layout.sheet or names[0]
        if sheet not in names:
            raise DrugtailError(f"{path}: has no sheet {sheet!r}; it has: {', '.join(names)}")
        rows = [[_text(value) for value in row] for row in book[sheet].iter_rows(values_only=True)]
        rows = [row for row in rows if any(row)]
        if not rows:
            raise DrugtailError(f"{path}: sheet {sheet!r} is empty")
        header = layout.header or [name.strip() for name in rows[0]]
        body = rows if layout.header else rows[1:]
        # Cells that were formatted but never filled.
        width = len(header) if layout.header else max(i for i, n in enumerate(header, 1) if n)
        beyond = next((n for n, row in enumerate(body, 1) if any(row[width:])), None)
        if beyond is not None:
            raise DrugtailError(
                f"{path}: row {beyond} has a value right of the last column of the header; name "
                "that column, or remove it"
            )
        return pd.DataFrame([row[:width] for row in body], columns=header[:width], dtype=str)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
