"""Averaging the probabilities of several classifiers, with a fixed correction of the prior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from drugtail.config.prior import Shares, shares_of
from drugtail.methods.prior import corrected


def averaged(
    logits: Sequence[NDArray[np.floating]],
    learned: Sequence[Shares],
    counts: Sequence[int],
    tau: float | None,
) -> NDArray[np.float32]:
    """Return log p̄ − τ log π, p̄ the mean of the members' probabilities under the shares π.

    A member whose probabilities have learned other shares π̃ is brought to π first: p ∝ p̃ π / π̃,
    with p̃ at least 1e-6.

    Parameters
    ----------
    logits
        Of each member, [N, C].
    learned
        π̃ of each member, [C].
    counts
        Training molecules per class, [C]; π are their shares.
    tau
        τ; None averages p̃ as they are and corrects nothing.

    Returns
    -------
    numpy.ndarray
        float32 [N, C].
    """
    shares = np.log(shares_of([float(count) for count in counts]))
    parts = []
    for said, other in zip(logits, learned, strict=True):
        if tau is not None:
            assert other is not None
            said = corrected(said, other, 1.0) + shares
        parts.append(log_softmax(said.astype(float), axis=1))
    mean = logsumexp(parts, axis=0) - np.log(len(parts))
    whole: NDArray[np.float32] = (mean - (tau or 0.0) * shares).astype(np.float32)
    return whole
