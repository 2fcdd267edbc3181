"""Statistics."""

import numpy as np
import pandas as pd
import pytest
from collected_runs import paired_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drugtail.evaluation.statistics import (
    RESAMPLES,
    compare_methods,
    holm,
    mean_interval,
    p_value,
    rank_correlation,
)
from drugtail.runtime.errors import DrugtailError


def test_holm_multiplies_by_the_number_of_larger_ones_and_stays_monotone() -> None:
    found = holm(np.array([0.04, 0.01, np.nan, 0.03, 0.9]))
    assert found[[0, 1, 3, 4]].tolist() == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert np.isnan(found[2])


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_holm_never_lowers_a_p_value_nor_their_order(p: list[float]) -> None:
    found = holm(np.array(p))
    assert (found >= np.array(p) - 1e-15).all()
    assert (found <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_signed_rank_is_that_of_scipy_and_says_nothing_of_no_difference() -> None:
    values = np.array([0.1, -0.02, 0.3, 0.05, 0.2, 0.11])
    assert p_value("signed_rank", pd.Series(values)) == stats.wilcoxon(values).pvalue
    assert p_value("signed_rank", pd.Series(np.zeros(5))) == 1
    assert np.isnan(p_value("signed_rank", pd.Series(np.empty(0))))
    with pytest.raises(DrugtailError, match="test 'sign' is unknown; there are signed_rank"):
        p_value("sign", pd.Series(values))


def test_an_interval_of_one_stratum_is_students() -> None:
    values = np.random.default_rng(1).normal(2.0, 0.5, size=4)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_interval([values]) == pytest.approx(tuple(wanted))
    assert np.isnan(mean_interval([values, np.array([1.0])])).all()
    assert np.isnan(mean_interval([])).all()
    assert mean_interval([np.full(3, 0.25)]) == (0.25, 0.25)


def test_an_interval_of_two_strata_of_one_size_is_welchs() -> None:
    """The mean of a and b is half the difference between a and -b."""
    generator = np.random.default_rng(2)
    a, b = generator.normal(1, 0.1, size=5), generator.normal(-3, 1.0, size=5)
    wanted = stats.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)
    assert mean_interval([a, b]) == pytest.approx((wanted.low / 2, wanted.high / 2))


@pytest.mark.parametrize(("strata", "seeds"), [(1, 3), (1, 5), (3, 3), (3, 5)])
def test_an_interval_of_a_few_seeds_holds_the_mean_in_95_of_100_cases(
    strata: int, seeds: int
) -> None:
    generator = np.random.default_rng(strata * 10 + seeds)
    held = 0
    for _ in range(2000):
        low, high = mean_interval(list(generator.normal(size=(strata, seeds))))
        held += low <= 0 <= high
    assert 0.935 < held / 2000 < 0.985


def test_an_interval_does_not_widen_because_data_sets_differ() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, size=(2, 50))
    low, high = mean_interval([noise[0] - 5, noise[1] + 5])
    assert high - low == pytest.approx(2 * 1.96 * noise.std() / np.sqrt(100), rel=0.15)


def test_methods_are_compared_pair_by_pair() -> None:
    found = compare_methods(paired_runs(), "ours", ["test_balanced_accuracy"]).set_index("against")
    assert found["pairs"].tolist() == [10, 10]
    row = found.loc["plain"]
    assert row["difference"] == pytest.approx(0.052)
    assert 0.05 <= row["low"] <= row["difference"] <= row["high"] <= 0.054
    assert (row["wins"], row["losses"]) == (10, 0)
    assert row["p"] < 0.01
    assert row["p_holm"] == pytest.approx(2 * row["p"])


def test_a_comparison_shows_the_data_set_that_loses() -> None:
    runs = paired_runs()
    ours_on_b = (runs["method"] == "ours") & (runs["dataset"] == "b")
    runs.loc[ours_on_b, "test_balanced_accuracy"] -= 0.07
    found = compare_methods(runs, "ours", ["test_balanced_accuracy"]).set_index("against")
    assert found.loc["plain", "on_a"] == pytest.approx(0.052)
    assert found.loc["plain", "on_b"] == pytest.approx(-0.018)
    assert (found.loc["plain", "wins"], found.loc["plain", "losses"]) == (5, 5)


def test_a_method_on_two_encoders_is_compared_within_each() -> None:
    runs = paired_runs()
    other = runs[runs["method"] != "same"].assign(encoder="other")
    other.loc[other["method"] == "ours", "test_balanced_accuracy"] -= 0.2
    both = pd.concat([runs, other], ignore_index=True)
    found = compare_methods(both, "ours", ["test_balanced_accuracy"]).set_index("against")
    assert (found.loc["plain", "pairs"], found.loc["same", "pairs"]) == (20, 10)
    assert found.loc["plain", "difference"] == pytest.approx(0.052 - 0.1)


def test_a_smaller_error_wins() -> None:
    rows = [
        {"dataset": "a", "split": "s", "encoder": "e", "method": method, "seed": seed,
         "test_calibration_error_tail": value + seed / 100, "test_accuracy": value}
        for method, value in (("good", 0.1), ("bad", 0.3))
        for seed in range(5)
    ]  # fmt: skip
    columns = ["test_calibration_error_tail", "test_accuracy"]
    found = compare_methods(pd.DataFrame(rows), "good", columns).set_index("metric")
    assert found.loc[columns[0], ["wins", "losses"]].tolist() == [5, 0]
    assert found.loc[columns[1], ["wins", "losses"]].tolist() == [0, 5]
    assert (found["difference"] < 0).all()


def test_a_run_without_partner_is_no_pair() -> None:
    runs = paired_runs()
    short = runs[~((runs["method"] == "plain") & (runs["seed"] == 0))]
    found = compare_methods(short, "ours", ["test_balanced_accuracy"]).set_index("against")
    assert found["pairs"].to_dict() == {"plain": 8, "same": 10}


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
