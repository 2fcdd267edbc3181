"""Rank correlation over classes."""

import numpy as np
import pytest
from scipy import stats

from drugtail.evaluation.rank_correlation import RESAMPLES, rank_correlation


def test_rank_correlation_is_spearmans_and_its_interval_holds_it() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(3, 12))
    y = x + 0.7 * generator.normal(size=(3, 12))
    found, low, high = rank_correlation(x, y)
    wanted = np.mean([stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)])
    assert found == pytest.approx(wanted)
    assert -1 <= low < found < high <= 1
    assert np.isnan(rank_correlation(x[:, :3], y[:, :3])).all()


@pytest.mark.parametrize("distinct", [3, 1000])
def test_the_interval_is_that_of_spearmans_in_classes_drawn_anew(distinct: int) -> None:
    generator = np.random.default_rng(4)
    x, y = generator.integers(distinct, size=(2, 1, 9)).astype(float)
    drawn = np.random.default_rng(0).integers(9, size=(RESAMPLES, 9))
    with np.errstate(invalid="ignore"):
        each = [np.corrcoef(*stats.rankdata([x[0, d], y[0, d]], axis=1))[0, 1] for d in drawn]
    wanted = np.nanquantile(each, [0.025, 0.975])
    assert rank_correlation(x, y)[1:] == pytest.approx(wanted)


def test_partial_rank_correlation_is_that_of_what_a_line_through_the_ranks_leaves() -> None:
    generator = np.random.default_rng(2)
    z = generator.normal(size=(3, 12))
    x, y = z + generator.normal(size=(3, 12)), z + generator.normal(size=(3, 12))
    wanted = []
    for rows in zip(x, y, z, strict=True):
        a, b, c = (stats.rankdata(row) for row in rows)
        line = np.stack([np.ones(12), c], axis=1)
        left = [v - line @ np.linalg.lstsq(line, v)[0] for v in (a, b)]
        wanted.append(np.corrcoef(*left)[0, 1])
    found, low, high = rank_correlation(x, y, z)
    assert found == pytest.approx(np.mean(wanted))
    assert -1 <= low < found < high <= 1
    assert found < rank_correlation(x, y)[0], "both follow z"
    assert np.isnan(rank_correlation(x, z, z)).all(), "z leaves nothing of itself"


def test_a_seed_whose_classes_are_all_alike_says_nothing_and_hides_nothing() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 2, 12))
    alone = rank_correlation(x[:1], y[:1])
    y[1] = 0.5
    assert rank_correlation(x, y) == pytest.approx(alone)
    assert np.isnan(rank_correlation(x[1:], y[1:])).all()
