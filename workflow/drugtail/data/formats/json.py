"""JSON tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS, TableFormat, decoded
from drugtail.runtime.errors import DrugtailError


@FORMATS.register("json")
class Json(TableFormat):
    """JSON: a list of records, or a mapping, whose columns are ``position``, ``key``, ``value``."""

    rank = 20

    def recognises(self, content: bytes, name: str) -> bool:
        """See `TableFormat.recognises`."""
        return name.endswith(".json") or content[:64].lstrip().startswith((b'{"', b"[{"))

    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """See `TableFormat.read`; positions count from 0, a null is an empty cell."""
        try:
            value = json.loads(decoded(content, layout, path))
        except json.JSONDecodeError as error:
            raise DrugtailError(f"{path}: is not proper JSON ({error}); fetch it again") from None
        if isinstance(value, dict):
            rows = [
                {"position": str(i), "key": str(key), "value": _text(item)}
                for i, (key, item) in enumerate(value.items())
            ]
            return pd.DataFrame(rows, columns=["position", "key", "value"], dtype=str)
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            names = list(dict.fromkeys(str(key) for row in value for key in row))
            cells = [[_text(row.get(name)) for name in names] for row in value]
            return pd.DataFrame(cells, columns=names, dtype=str)
        raise DrugtailError(f"{path}: is JSON, but neither a list of records nor a mapping")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
