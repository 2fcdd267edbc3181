"""A leaderboard over data sets: strengths of methods from who beats whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from drugtail.evaluation.statistics import t_quantile

# A difference of so many points means odds of 10 to 1.
SCALE = 400
BASE = 1000


def strengths(values: pd.DataFrame, *, smaller_is_better: bool = False) -> pd.DataFrame:
    """Estimate how often each method beats the others (Bradley, Terry, Biometrika 1952, 39, 324).

    On each data set a method wins against those with a worse figure; equal ones have half a win
    each. The odds that method i beats j on a data set are 10^((s_i - s_j) / 400), the scale of Elo.
    Strengths are fitted by logistic regression, with an L2 penalty (C = 1) that keeps those of
    methods which win or lose always finite.

    Parameters
    ----------
    values
        A figure of each method on each data set: data sets down, methods across; none missing.
    smaller_is_better
        Whether the smaller figure wins.

    Returns
    -------
    pandas.DataFrame
        ``strength`` (1000 on average), ``strength_low`` and ``strength_high`` by method. The 95 %
        interval is that of a jackknife over data sets (Student's t with their number less one
        degrees of freedom); it is missing with fewer than three data sets.
    """
    number = len(values)
    figures = values.to_numpy(dtype=float) * (-1 if smaller_is_better else 1)
    first, second = np.triu_indices(figures.shape[1], 1)
    wins = (np.sign(figures[:, first] - figures[:, second]) + 1) / 2

    def fitted(won: NDArray[np.float64]) -> NDArray[np.float64]:
        found = _fit(won.mean(axis=0), number, first, second)
        return np.asarray(found - found.mean())

    whole = fitted(wins)
    half = np.full(len(whole), np.nan)
    if number > 2:
        without = np.array([fitted(np.delete(wins, row, axis=0)) for row in range(number)])
        deviations = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
        error: NDArray[np.float64] = np.sqrt((number - 1) / number * deviations)
        half = t_quantile(number - 1) * error
    middle = BASE + whole
    return pd.DataFrame(
        {"strength": middle, "strength_low": middle - half, "strength_high": middle + half},
        index=values.columns,
    )


def _fit(
    shares: NDArray[np.float64], number: int, first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Strengths, [K], from the share of data sets on which the first of each pair has won, [P]."""
    from sklearn.linear_model import LogisticRegression

    pairs, rows = len(shares), np.arange(len(shares))
    if not pairs:
        return np.zeros(1)
    signs = np.repeat([1.0, -1.0], pairs)
    design = sparse.csr_matrix((signs, (np.tile(rows, 2), np.concatenate([first, second]))))
    # Each pair is a row that was won and one that was lost, weighted by how often.
    won = np.repeat([1, 0], pairs)
    weights = number * np.concatenate([shares, 1 - shares])
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-8, max_iter=10_000)
    model.fit(sparse.vstack([design, design]), won, weights)
    found: NDArray[np.float64] = model.coef_[0] * SCALE / np.log(10)
    return found
