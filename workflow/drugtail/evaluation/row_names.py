"""Names of the rows of a comparison: a method on an encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


ON = " on "


def row_name(method: str, encoder: str) -> str:
    """Return what people read of a method on an encoder."""
    return f"{method}{ON}{encoder}"


def parse_row(name: str) -> tuple[str, str | None]:
    """Return method and encoder of a row's name; None where it names a method alone."""
    method, _, encoder = name.partition(ON)
    return method, encoder or None


def row_names(frame: pd.DataFrame) -> pd.Series:
    """Return the same for each row of a frame with ``method`` and ``encoder``."""
    named: pd.Series = frame["method"].astype(str) + ON + frame["encoder"].astype(str)
    return named
