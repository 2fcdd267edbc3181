"""Tests between all pairs of methods on one data set, for description.

Both take splits for independent ones, which those of one data set are not: their p values are too
small, so that nothing is inferred from them (see `drugtail.evaluation.statistics`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def tukey(values: pd.DataFrame) -> pd.DataFrame:
    """P values of Tukey's test after a repeated-measures analysis of variance.

    Splits are the subjects; the error is that of methods within splits, with (J - 1)(K - 1) degrees
    of freedom (Ash et al., J. Chem. Inf. Model. 2025, 65, 9398).

    Parameters
    ----------
    values
        A figure of each method on each split: J splits down, K methods across; none missing, at
        least two of each.

    Returns
    -------
    pandas.DataFrame
        K x K; 1 on the diagonal, and where two methods never differ.
    """
    from scipy.stats import studentized_range

    figures = values.to_numpy(dtype=float)
    splits, methods = figures.shape
    means = figures.mean(axis=0)
    residuals = figures - figures.mean(axis=1, keepdims=True) - means + means.mean()
    freedom = (splits - 1) * (methods - 1)
    error = np.sqrt((residuals**2).sum() / freedom / splits)
    apart = np.abs(means[:, None] - means[None, :])
    # Without any error whatever differs does so for sure.
    q = np.divide(apart, error, out=np.where(apart > 0, np.inf, 0.0), where=error > 0)
    p = np.ones_like(q)
    upper = np.triu_indices(methods, 1)
    p[upper] = studentized_range.sf(q[upper], methods, freedom)
    p = np.minimum(p, p.T)
    return pd.DataFrame(p, index=values.columns, columns=values.columns)


def nemenyi(values: pd.DataFrame) -> pd.DataFrame:
    """P values of Nemenyi's test after Friedman's, of ranks on splits; arguments as of `tukey`."""
    from scikit_posthocs import posthoc_nemenyi_friedman

    found = posthoc_nemenyi_friedman(values.to_numpy(dtype=float))
    return pd.DataFrame(found.to_numpy(), index=values.columns, columns=values.columns)
