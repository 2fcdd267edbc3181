"""Rows of a correction of stored predictions, in tables: what their methods are called."""

from __future__ import annotations

import pandas as pd

SUFFIX = "+prior_"


def corrected_name(method: str, tau: float) -> str:
    """Return the name of a method's rows with a correction: ``cross_entropy+prior_0.5``."""
    return f"{method}{SUFFIX}{tau:g}"


def uncorrected_name(name: str) -> tuple[str, float | None]:
    """Return the method that a row is of, and τ of its correction; None without one."""
    method, found, tau = name.partition(SUFFIX)
    return method, float(tau) if found else None


def is_derived(methods: pd.Series) -> pd.Series:
    """Return which rows are of a correction of stored predictions, not of a training."""
    found: pd.Series = methods.astype(str).str.contains(SUFFIX, regex=False)
    return found
