"""A fixed correction of the prior, without training: the control of every comparison.

Probabilities hold the class shares of what a classifier was trained on, π̃. Taking τ log π̃ off their
logarithms (Menon et al., ICLR 2021, with a τ fixed beforehand) gives rare classes back what they
lost by being rare; where a method has done that already, π̃ is even and nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from drugtail.config.prior import SMALLEST_PROBABILITY


def is_even(shares: Sequence[float]) -> bool:
    """Return whether all classes have one share, so that nothing is left to correct."""
    return max(shares) / min(shares) < 1 + 1e-6


def corrected(
    logits: NDArray[np.floating], shares: Sequence[float], tau: float
) -> NDArray[np.float64]:
    """Return log-probabilities less τ log π̃, [N, C]; probabilities are at least 1e-6.

    Parameters
    ----------
    logits
        [N, C].
    shares
        π̃, [C].
    tau
        τ.
    """
    known: NDArray[np.float64] = np.maximum(
        log_softmax(logits.astype(float), axis=1), np.log(SMALLEST_PROBABILITY)
    )
    return known - tau * np.log(np.asarray(shares, dtype=np.float64))
