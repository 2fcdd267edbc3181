"""Strengths from who beats whom."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drugtail.evaluation.across import mean_ranks
from drugtail.evaluation.bradley_terry import strengths


def by_hand(wins: np.ndarray) -> np.ndarray:
    """Most likely strengths under the same penalty, from the matrix of wins, by Newton's method."""
    found = np.zeros(len(wins))
    games = wins + wins.T
    for _ in range(100):
        p = 1 / (1 + np.exp(found[None, :] - found[:, None]))
        slope = wins.sum(axis=1) - (games * p).sum(axis=1) - found
        curve = games * p * (1 - p)
        hessian = np.diag(curve.sum(axis=1) + 1) - curve
        found = found + np.linalg.solve(hessian, slope)
    return (found - found.mean()) * 400 / np.log(10)


def test_they_are_the_most_likely_ones_under_their_penalty() -> None:
    rng = np.random.default_rng(0)
    values = pd.DataFrame(rng.normal(size=(6, 5)), columns=list("abcde"))
    values.iloc[0, 1] = values.iloc[0, 0]  # a draw
    figures = values.to_numpy()
    wins = sum(
        (row[:, None] > row[None, :]) + 0.5 * (row[:, None] == row[None, :]) for row in figures
    )
    np.fill_diagonal(wins, 0)
    found = strengths(values)
    assert found["strength"].to_numpy() - 1000 == pytest.approx(by_hand(wins), abs=0.5)
    turned = strengths(-values, smaller_is_better=True)
    pd.testing.assert_frame_equal(turned, found)


def test_who_always_wins_stands_first_and_is_finite() -> None:
    values = pd.DataFrame({"a": [0.9, 0.8, 0.9], "b": [0.5, 0.6, 0.4], "c": [0.5, 0.6, 0.4]})
    found = strengths(values)
    assert np.isfinite(found.to_numpy()).all()
    assert found["strength"].idxmax() == "a"
    assert found.loc["b", "strength"] == pytest.approx(found.loc["c", "strength"])
    assert found["strength"].mean() == pytest.approx(1000)


@pytest.mark.parametrize("number", [1, 2])
def test_few_data_sets_give_no_interval(number: int) -> None:
    values = pd.DataFrame({"a": [0.9, 0.8], "b": [0.5, 0.9]}).head(number)
    assert strengths(values)[["strength_low", "strength_high"]].isna().to_numpy().all()


def test_one_method_has_nobody_to_beat() -> None:
    assert strengths(pd.DataFrame({"a": [0.9, 0.8, 0.7]}))["strength"].tolist() == [1000]


@pytest.mark.parametrize("number", [3, 6])
def test_intervals_over_data_sets_hold_what_many_data_sets_would_give(number: int) -> None:
    rng = np.random.default_rng(number)
    means = np.linspace(0, 0.05, 6)

    def drawn(count: int) -> pd.DataFrame:
        return pd.DataFrame(means + 0.03 * rng.normal(size=(count, 6)), columns=list("abcdef"))

    population = drawn(2000)
    strong = strengths(population.head(200))["strength"]
    rank = mean_ranks(population).set_index("method")["rank"]
    held = {"rank": 0, "strength": 0, "bootstrap": 0}
    for _ in range(80):
        values = drawn(number)
        found = strengths(values)
        within = found["strength_low"].le(strong) & found["strength_high"].ge(strong)
        held["strength"] += int(within.sum())
        ranked = mean_ranks(values).set_index("method").loc[rank.index]
        held["rank"] += int((ranked["low"].le(rank) & ranked["high"].ge(rank)).sum())
        # Percentiles of a bootstrap over so few data sets are too close to each other.
        each = values.rank(axis=1, ascending=False)[rank.index].to_numpy()
        samples = rng.multinomial(number, np.full(number, 1 / number), size=500) @ each / number
        low, high = np.quantile(samples, [0.025, 0.975], axis=0)
        held["bootstrap"] += int(((low <= rank) & (high >= rank)).sum())
    assert 0.89 <= held["rank"] / 480 <= 0.99
    assert 0.89 <= held["strength"] / 480 <= 0.99
    assert held["bootstrap"] / 480 < 0.89
