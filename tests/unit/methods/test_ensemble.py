"""The mean of members' probabilities, with a correction of the prior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from drugtail.methods.ensemble import averaged
from drugtail.methods.prior import corrected

COUNTS = [800, 150, 50]
PI = np.array(COUNTS) / sum(COUNTS)
EVEN = [1 / 3] * 3


def logits(seed: int, rows: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3)) * 2


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_members_are_brought_to_the_shares_of_the_data_before_they_are_averaged(
    tau: float,
) -> None:
    plain, balanced = logits(0), logits(1)
    found = averaged([plain, balanced], [PI.tolist(), EVEN], COUNTS, tau)
    # By probabilities, not by their logarithms.
    put_back = softmax(balanced, axis=1) * PI
    put_back /= put_back.sum(axis=1, keepdims=True)
    mean = (softmax(plain, axis=1) + put_back) / 2
    np.testing.assert_allclose(found, np.log(mean / PI**tau), rtol=1e-5, atol=1e-5)


def test_without_a_strength_probabilities_are_averaged_as_they_are() -> None:
    members = [logits(seed) for seed in range(3)]
    found = averaged(members, [None, EVEN, None], COUNTS, None)
    mean = np.mean([softmax(one, axis=1) for one in members], axis=0)
    np.testing.assert_allclose(np.exp(found), mean, rtol=1e-5)


@given(st.integers(0, 99), st.floats(0, 2))
def test_equal_members_are_one_of_them_with_its_prior_taken_off(seed: int, tau: float) -> None:
    one = logits(seed)
    found = averaged([one] * 3, [PI.tolist()] * 3, COUNTS, tau)
    np.testing.assert_allclose(found, corrected(one, PI.tolist(), tau), rtol=1e-4, atol=1e-4)


def test_probabilities_of_zero_leave_finite_numbers() -> None:
    votes = np.log(np.array([[1.0, 1e-30, 1e-30]]))
    found = averaged([votes, votes], [EVEN, PI.tolist()], COUNTS, 0.5)
    assert np.isfinite(found).all()
