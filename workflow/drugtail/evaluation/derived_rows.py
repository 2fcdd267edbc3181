"""Rows of tables that come from stored predictions without training: what they are called."""

from __future__ import annotations

import pandas as pd

PRIOR = "+prior_"
GHOST = "+ghost"


def corrected_name(method: str, tau: float) -> str:
    """Return the name of a method's rows with a correction: ``cross_entropy+prior_0.5``."""
    return f"{method}{PRIOR}{tau:g}"


def uncorrected_name(name: str) -> tuple[str, float | None]:
    """Return the method that a row is of, and τ of its correction; None without one."""
    method, found, tau = name.partition(PRIOR)
    return method, float(tau) if found else None


def is_derived(methods: pd.Series) -> pd.Series:
    """Return which rows are of a change of stored predictions, not of a training."""
    names = methods.astype(str)
    found: pd.Series = names.str.contains(PRIOR, regex=False) | names.str.endswith(GHOST)
    return found
