"""Class shares that a classifier learns, and how components change them.

The shares of the classes among what a classifier is trained on are part of its probabilities. A
component that draws, weighs or shifts says what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence

# A share per class, [C], adding up to 1; None where it is not defined.
Shares = list[float] | None
# Votes of a forest can be 0, whose logarithm no table holds and no correction reaches.
SMALLEST_PROBABILITY = 1e-6


def shares_of(values: Sequence[float]) -> list[float]:
    """Scale values to shares."""
    total = sum(values)
    return [value / total for value in values]


def alike(shares: Sequence[float]) -> list[float]:
    """Return equal shares for the classes that have any."""
    return shares_of([float(share > 0) for share in shares])


def shifted(shares: Sequence[float], counts: Sequence[int], tau: float) -> list[float]:
    """Return shares after τ log π was taken off the logits, π the shares of class sizes."""
    return shares_of([share / count**tau for share, count in zip(shares, counts, strict=True)])
