"""Mean ranks over data sets, and a hierarchical comparison of two methods on all of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import roots_genlaguerre

from drugtail.evaluation.statistics import (
    LEVEL,
    MARGIN,
    paired_splits,
    standard_error,
    t_quantile,
)

# Scale of the half-normal prior of the standard deviation between data sets: five points.
BETWEEN = 0.05
# Values of the mean and of that standard deviation, and nodes for the precision on one data set.
MEANS, DEVIATIONS, NODES = 401, 40, 15
# Above it Student's t is a normal distribution, and the weights of the nodes overflow.
MOST_FREE = 200


def mean_ranks(values: pd.DataFrame, *, smaller_is_better: bool = False) -> pd.DataFrame:
    """Rank methods on each data set, and average the ranks.

    Parameters
    ----------
    values
        A figure of each method on each data set: data sets down, methods across; none missing.
    smaller_is_better
        Whether rank 1 is the smallest value.

    Returns
    -------
    pandas.DataFrame
        One row per method, by rank: ``method``, ``rank`` (mean), ``low`` and ``high``, its 95 %
        interval over data sets (Student's t, within the possible ranks), which a bootstrap over so
        few makes too short. Two data sets give no interval.
    """
    ranks = values.rank(axis=1, ascending=smaller_is_better).to_numpy()
    number = len(ranks)
    found = pd.DataFrame({"method": values.columns, "rank": ranks.mean(axis=0)})
    half = np.full(len(found), np.nan)
    if number > 2:
        error = ranks.std(axis=0, ddof=1) / np.sqrt(number)
        half = t_quantile(number - 1) * error
    found["low"] = (found["rank"] - half).clip(lower=1)
    found["high"] = (found["rank"] + half).clip(upper=len(found))
    return found.sort_values("rank", kind="stable", ignore_index=True)


class Effect(NamedTuple):
    """A difference between two methods on one data set, or another figure with an error.

    Attributes
    ----------
    mean : float
        Mean over splits.
    error : float
        Its standard error (`drugtail.evaluation.statistics`).
    freedom : int
        Degrees of freedom, of a mean over splits their number less one.
    """

    mean: float
    error: float
    freedom: int


class Hierarchical(NamedTuple):
    """A difference between two methods, or another such figure, over data sets.

    Attributes
    ----------
    mean, low, high : float
        Posterior mean and 95 % credible interval of the mean difference over data sets.
    worse, equal, better : float
        Probability that the difference on a data set that was not seen is below minus a point,
        within a point of zero, or above.
    """

    mean: float
    low: float
    high: float
    worse: float
    equal: float
    better: float


def effect(differences: NDArray[np.float64], ratio: float) -> Effect:
    """Return the difference on a data set, from those on its splits, [J], J at least 2."""
    # Splits on which nothing differs are known to a thousandth of a point, not perfectly.
    error = max(standard_error(differences, ratio), MARGIN / 1000)
    return Effect(float(differences.mean()), error, len(differences) - 1)


def over_data_sets(
    means: pd.DataFrame, method: str, other: str, column: str
) -> Hierarchical | None:
    """Compare two methods over the data sets of one kind of split.

    Parameters
    ----------
    means
        Rows of `drugtail.evaluation.statistics.by_split`.
    method, other
        The first less the second.
    column
        Metric.

    Returns
    -------
    Hierarchical or None
        None where fewer than two data sets have both methods on two splits or more.
    """
    each = [
        paired_splits(part, method, other, column)
        for _, part in means.groupby("dataset", sort=False)
    ]
    effects = [effect(values, ratio) for values, ratio in each if len(values) > 1]
    return hierarchical(effects) if len(effects) > 1 else None


def hierarchical(
    effects: list[Effect], margin: float = MARGIN, between: float = BETWEEN
) -> Hierarchical:
    """Compare two methods over data sets (after Corani et al., Machine Learning 2017, 106, 1817).

    The difference on data set i is θ_i ~ N(μ, τ²), and what was measured there follows Student's t
    around θ_i with the corrected standard error of its splits. Priors: μ uniform, τ half-normal
    with a scale of `between` (Röver, J. Stat. Softw. 2020, 93, 6, recommends a weakly informative
    prior where there are few data sets). Student's t is a mixture of normal densities over a gamma
    distributed precision, for each of which θ_i is integrated exactly; the rest is summed over a
    grid, without sampling.

    Parameters
    ----------
    effects
        One per data set, at least two.
    margin
        Half the region of practical equivalence.
    between
        Scale of the prior of the deviation between data sets; five points by default.
    """
    from scipy.stats import halfnorm, norm

    means = np.array([one.mean for one in effects])
    reach = np.abs(means).max() + 4 * max(between, *(one.error for one in effects))
    mu = np.linspace(-reach, reach, MEANS)
    tau = np.linspace(0, 4 * between, DEVIATIONS)
    log = np.broadcast_to(halfnorm.logpdf(tau, scale=between), (MEANS, DEVIATIONS)).copy()
    for one in effects:
        freedom = min(one.freedom, MOST_FREE)
        nodes, weights = roots_genlaguerre(NODES, freedom / 2 - 1)
        variance = tau[:, None] ** 2 + one.error**2 * freedom / 2 / nodes
        far = (one.mean - mu[:, None, None]) ** 2 / variance
        density = (np.exp(-far / 2) / np.sqrt(variance) * weights).sum(axis=-1)
        log += np.log(density.clip(1e-300))
    posterior = np.exp(log - log.max())
    posterior /= posterior.sum()
    of_mu = posterior.sum(axis=1)
    # Half of a point's own share lies below it.
    up_to_mu = of_mu.cumsum() - of_mu / 2
    low, high = np.interp([(1 - LEVEL) / 2, (1 + LEVEL) / 2], up_to_mu, mu)
    # With no deviation at all the next data set has the mean itself.
    spread = np.maximum(tau, 1e-9)
    below, up_to = (
        float((posterior * norm.cdf((end - mu[:, None]) / spread)).sum())
        for end in (-margin, margin)
    )
    return Hierarchical(float(of_mu @ mu), float(low), float(high), below, up_to - below, 1 - up_to)
