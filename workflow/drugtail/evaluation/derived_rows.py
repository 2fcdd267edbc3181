"""Rows of tables that come from stored predictions without training: what they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drugtail.runtime.names import TUNED_SUFFIX, method_label, parse_method_label

if TYPE_CHECKING:
    # The Snakefile reads these names, and is read at every start.
    import pandas as pd

PRIOR = "+prior_"
GHOST = "+ghost"


def corrected_name(method: str, tau: float) -> str:
    """Return the name of a method's rows with a correction: ``cross_entropy+prior_0.5``."""
    return f"{method}{PRIOR}{tau:g}"


def uncorrected_name(name: str) -> tuple[str, float | None]:
    """Return the method that a row is of, and τ of its correction; None without one.

    ``+tuned``, which stands last, stays with the method.
    """
    plain, settings = parse_method_label(name)
    method, found, tau = plain.partition(PRIOR)
    return method_label(method, settings), float(tau) if found else None


def is_derived(methods: pd.Series) -> pd.Series:
    """Return which rows are of a change of stored predictions, not of a training."""
    names = methods.astype(str)
    ghost = names.str.removesuffix(TUNED_SUFFIX).str.endswith(GHOST)
    found: pd.Series = names.str.contains(PRIOR, regex=False) | ghost
    return found
