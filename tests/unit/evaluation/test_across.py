"""What several data sets say together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from drugtail.evaluation.across import Effect, effect, hierarchical, mean_ranks
from drugtail.evaluation.statistics import corrected_t


def test_ranks_are_averaged_over_data_sets_and_ties_share_theirs() -> None:
    values = pd.DataFrame(
        {"a": [0.9, 0.8, 0.7], "b": [0.5, 0.8, 0.6], "c": [0.6, 0.1, 0.2]}, index=list("xyz")
    )
    found = mean_ranks(values).set_index("method")
    wanted = stats.rankdata(-values.to_numpy(), axis=1).mean(axis=0)
    assert found.loc[["a", "b", "c"], "rank"].tolist() == pytest.approx(wanted)
    assert found.index[0] == "a"
    assert (found["low"] <= found["rank"]).all()
    assert (found["rank"] <= found["high"]).all()
    assert mean_ranks(values, smaller_is_better=True)["method"].iloc[0] == "c"


def test_two_data_sets_give_no_interval_of_a_rank() -> None:
    found = mean_ranks(pd.DataFrame({"a": [0.9, 0.8], "b": [0.5, 0.9]}))
    assert found[["low", "high"]].isna().to_numpy().all()


def test_the_posterior_is_that_of_a_sample_from_the_prior_weighted_by_what_was_seen() -> None:
    effects = [Effect(0.03, 0.02, 4), Effect(-0.01, 0.015, 4), Effect(0.05, 0.03, 24)]
    rng = np.random.default_rng(0)
    number = 400_000
    mu = rng.uniform(-0.2, 0.2, number)
    tau = np.abs(rng.normal(0, 0.05, number))
    weight = np.ones(number)
    for one in effects:
        theta = mu + tau * rng.normal(size=number)
        weight *= stats.t.pdf(theta, one.freedom, loc=one.mean, scale=one.error)
    weight /= weight.sum()
    following = mu + tau * rng.normal(size=number)
    found = hierarchical(effects)
    assert found.mean == pytest.approx(weight @ mu, abs=0.001)
    assert weight[mu < found.low].sum() == pytest.approx(0.025, abs=0.006)
    assert weight[mu > found.high].sum() == pytest.approx(0.025, abs=0.006)
    assert found.better == pytest.approx(weight[following > 0.01].sum(), abs=0.01)
    assert found.worse == pytest.approx(weight[following < -0.01].sum(), abs=0.01)
    assert found.worse + found.equal + found.better == pytest.approx(1)


def test_an_interval_over_data_sets_holds_the_mean_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(150):
        effects = []
        for true in rng.normal(0.02, 0.03, size=6):
            splits = true + 0.01 * (rng.normal() * np.sqrt(2 / 7) + rng.normal(size=5))
            effects.append(effect(splits, 2 / 7))
        found = hierarchical(effects)
        held += found.low <= 0.02 <= found.high
    assert 0.92 <= held / 150 <= 1


def test_differences_of_one_sign_on_many_data_sets_are_better_and_none_at_all_equal() -> None:
    better = hierarchical([Effect(0.1, 0.01, 24)] * 6)
    assert better.better > 0.95
    nothing = hierarchical([effect(np.zeros(25), 2 / 7)] * 12)
    assert nothing.equal > 0.8
    assert (nothing.low + nothing.high) / 2 == pytest.approx(0, abs=1e-3)


def test_an_effect_is_what_the_corrected_t_tests() -> None:
    values = np.random.default_rng(2).normal(0.02, 0.03, size=5)
    found = effect(values, 2 / 7)
    p = 2 * stats.t.sf(found.mean / found.error, found.freedom)
    assert corrected_t(values, 2 / 7) == pytest.approx(p)
