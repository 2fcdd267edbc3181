"""The digest by which a split is known: of its content, whatever file it lies in."""

from __future__ import annotations

import pandas as pd

from drugtail.runtime.digest import text_digest


def split_digest(table: pd.DataFrame) -> str:
    """Return the SHA-256 of a split's columns ``id`` and ``subset``, written as CSV."""
    return text_digest(table[["id", "subset"]].to_csv(index=False))
