"""Matrices."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS, TableFormat, decoded
from drugtail.runtime.errors import DrugtailError


@FORMATS.register("matrix")
class Matrix(TableFormat):
    """A matrix with blanks between values, as a table of ``row``, ``column``, ``value``."""

    rank = 1000

    def recognises(self, content: bytes, name: str) -> bool:
        """See `TableFormat.recognises`; a matrix is one only if it is declared."""
        return False

    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """See `TableFormat.read`; rows and columns count from 0."""
        lines = [line.split() for line in decoded(content, layout, path).splitlines()]
        lines = [line for line in lines if line]
        if not lines:
            raise DrugtailError(f"{path}: is empty; delete it and fetch it again")
        for number, line in enumerate(lines, start=1):
            if len(line) != len(lines[0]):
                raise DrugtailError(
                    f"{path}: line {number} of the matrix has {len(line)} values, the first one "
                    f"{len(lines[0])}; fetch it again"
                )
        width = len(lines[0])
        return pd.DataFrame(
            {
                "row": [str(i) for i in range(len(lines)) for _ in range(width)],
                "column": [str(i) for i in range(width)] * len(lines),
                "value": [value for line in lines for value in line],
            },
            dtype=str,
        )
