"""Lists of SMILES."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS, TableFormat, decoded
from drugtail.runtime.errors import DrugtailError


@FORMATS.register("smi")
class Smi(TableFormat):
    """SMI: a SMILES and its name in each line, blanks between, no header (`header` names more)."""

    rank = 10

    def recognises(self, content: bytes, name: str) -> bool:
        """See `TableFormat.recognises`."""
        return name.endswith((".smi", ".ism", ".smiles"))

    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """See `TableFormat.read`; columns are ``smiles`` and ``name`` without a header."""
        lines = [line for line in decoded(content, layout, path).splitlines() if line.strip()]
        if not lines:
            raise DrugtailError(f"{path}: is empty; delete it and fetch it again")
        names = layout.header or ["smiles", "name"]
        first = lines[0].split(layout.separator)
        if layout.header is None and first[0].lower() in ("smiles", "smile", "structure"):
            names, lines = first, lines[1:]
        rows = [self._cells(line, names, layout, path, n) for n, line in enumerate(lines, start=1)]
        lacking = [name for name in wanted if name not in names]
        if lacking and layout.header is None:
            raise DrugtailError(
                f"{path}: has no header, and its first line is {lines[0][:60]!r}; name its "
                f"columns: `header: [smiles, …]` of this file, {lacking[0]!r} among them"
            )
        return pd.DataFrame(rows, columns=names, dtype=str)

    @staticmethod
    def _cells(line: str, names: list[str], layout: Layout, path: Path, number: int) -> list[str]:
        # The last column takes the rest of the line: names hold blanks.
        cells = line.split(layout.separator, len(names) - 1)
        if len(cells) < len(names) and layout.header is not None:
            raise DrugtailError(
                f"{path}: row {number}, {line[:60]!r}, has {len(cells)} fields, the header "
                f"{len(names)}; mend that row"
            )
        return [cell.strip() for cell in cells] + [""] * (len(names) - len(cells))
