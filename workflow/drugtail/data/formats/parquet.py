"""Parquet."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS, TableFormat
from drugtail.runtime.errors import DrugtailError


@FORMATS.register("parquet")
class Parquet(TableFormat):
    """Parquet, every value as text."""

    rank = 2

    def recognises(self, content: bytes, name: str) -> bool:
        """See `TableFormat.recognises`."""
        return content.startswith(b"PAR1")

    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """See `TableFormat.read`; a missing value is an empty cell."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(io.BytesIO(content))
        except (pa.ArrowException, OSError) as error:
            raise DrugtailError(f"{path}: is a damaged Parquet file ({error})") from None
        frame = table.to_pandas(integer_object_nulls=True)
        return pd.DataFrame(
            {str(name): [_text(value) for value in frame[name].astype(object)] for name in frame}
        )


def _text(value: object) -> str:
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, float) and value != value:
        return ""
    return str(value)
