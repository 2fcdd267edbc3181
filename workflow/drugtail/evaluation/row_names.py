"""Names of the rows of a comparison: a method on an encoder."""

from __future__ import annotations

import pandas as pd


def row_name(method: str, encoder: str) -> str:
    """Return what people read of a method on an encoder."""
    return f"{method} on {encoder}"


def row_names(frame: pd.DataFrame) -> pd.Series:
    """Return the same for each row of a frame with ``method`` and ``encoder``."""
    named: pd.Series = frame["method"].astype(str) + " on " + frame["encoder"].astype(str)
    return named
