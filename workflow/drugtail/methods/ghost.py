"""The threshold of a decision between two classes, moved as GHOST moves it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# As in the paper's code.
THRESHOLDS = np.arange(1, 11) * 0.05
SUBSETS = 100
SHARE = 0.2
# With fewer molecules of the smaller class a fifth of them is one or two, and kappa is chance.
FEWEST = 10


def ghost_threshold(
    probability: NDArray[np.floating], rare: NDArray[np.bool_], seed: int = 0
) -> float | None:
    """Return the probability of the smaller class from which on a molecule is said to be of it.

    Esposito, Landrum, Schneider, Stiefl, Riniker, J. Chem. Inf. Model. 2021, 61, 2623: of the
    thresholds 0.05, 0.10, … 0.50 the one with the highest median of Cohen's κ over 100 stratified
    subsets of a fifth of the molecules; of equal ones the one next to a half, since nothing speaks
    for moving it further. The paper takes training molecules; those given here should be ones that
    the classifier has not learned.

    Parameters
    ----------
    probability
        Of the smaller class, [n].
    rare
        Whether a molecule is of it, [n].
    seed
        Of the subsets.

    Returns
    -------
    float or None
        None where fewer than 10 molecules are of either kind.
    """
    if min(rare.sum(), (~rare).sum()) < FEWEST:
        return None
    groups = [np.flatnonzero(rare == kind) for kind in (True, False)]
    said = is_rare(probability[:, None], THRESHOLDS)
    generator = np.random.default_rng(seed)
    kappas = np.empty((SUBSETS, len(THRESHOLDS)))
    for row in kappas:
        subset = np.concatenate(
            [generator.permutation(group)[: max(1, round(SHARE * len(group)))] for group in groups]
        )
        row[:] = _kappa(said[subset], rare[subset])
    medians = np.median(kappas, axis=0)
    return float(THRESHOLDS[np.flatnonzero(medians >= medians.max() - 1e-12)[-1]])


def is_rare(
    probability: NDArray[np.floating], threshold: float | NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Return whether molecules are said to be of the smaller class, from its probability [n].

    A probability that is a threshold but for rounding reaches it.
    """
    reached: NDArray[np.bool_] = probability >= np.asarray(threshold) - 1e-9
    return reached


def _kappa(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Cohen's κ of several decisions, bool [n, T] against [n]; 0 where it is not defined."""
    agreed = (said == true[:, None]).mean(axis=0)
    share, rare = said.mean(axis=0), true.mean()
    chance = share * rare + (1 - share) * (1 - rare)
    kappa: NDArray[np.float64] = np.divide(
        agreed - chance, 1 - chance, out=np.zeros_like(agreed), where=chance < 1
    )
    return kappa
