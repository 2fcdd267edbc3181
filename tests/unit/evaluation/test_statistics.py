"""What is inferred from splits: intervals, tests and verdicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from collected_runs import paired_runs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from drugtail.evaluation.statistics import (
    TESTS,
    USUAL_RATIO,
    by_split,
    compare_methods,
    compare_pairs,
    corrected_t,
    holm,
    kind_of,
    mean_interval,
    named_splits,
    p_value,
    verdict_on,
)
from drugtail.runtime.errors import DrugtailError

METRIC = "test_balanced_accuracy"


def overlapping(
    generator: np.random.Generator, samples: int, splits: int, ratio: float
) -> np.ndarray:
    """Figures on splits that share training molecules, [samples, J], mean 0.

    n_test / n_train is the ratio of covariance to what is a split's own, as Nadeau and Bengio
    take it.
    """
    shared = generator.normal(size=(samples, 1)) * np.sqrt(ratio)
    found: np.ndarray = shared + generator.normal(size=(samples, splits))
    return found


def test_holm_multiplies_by_the_number_of_larger_ones_and_stays_monotone() -> None:
    found = holm(np.array([0.04, 0.01, np.nan, 0.03, 0.9]))
    assert found[[0, 1, 3, 4]].tolist() == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert np.isnan(found[2])
    assert np.isnan(holm(np.array([np.nan]))).all()


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=20), unknown=st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_holm_is_that_of_statsmodels_whatever_is_unknown(p: list[float], unknown: int) -> None:
    found = holm(np.array([np.nan] * unknown + p))
    assert np.isnan(found[:unknown]).all()
    np.testing.assert_allclose(found[unknown:], multipletests(p, method="holm")[1], rtol=1e-12)


def test_signed_rank_is_that_of_scipy_and_says_nothing_of_no_difference() -> None:
    values = np.array([0.1, -0.02, 0.3, 0.05, 0.2, 0.11])
    assert p_value("signed_rank", values) == stats.wilcoxon(values).pvalue
    assert p_value("signed_rank", np.zeros(5)) == 1
    assert np.isnan(p_value("signed_rank", np.empty(0)))
    with pytest.raises(DrugtailError, match="'sign' is unknown; there are corrected_t, signed_"):
        p_value("sign", values)


def test_the_corrected_t_widens_students_by_what_splits_share() -> None:
    values = np.random.default_rng(1).normal(2.0, 0.5, size=6)
    students = stats.ttest_1samp(values, 0.0)
    assert corrected_t(values, 0.0) == pytest.approx(students.pvalue)
    # Independent of the code: the statistic shrinks by the root of 1 + J n_test / n_train.
    shrunk = students.statistic / np.sqrt(1 + 6 * 0.25)
    assert corrected_t(values, 0.25) == pytest.approx(2 * stats.t.sf(shrunk, 5))
    low, high = mean_interval(values, 0.25)
    wide = np.diff(students.confidence_interval(0.95))[0] * np.sqrt(1 + 6 * 0.25)
    assert (low + high) / 2 == pytest.approx(values.mean())
    assert high - low == pytest.approx(wide)


def test_a_single_split_says_nothing_of_others() -> None:
    assert np.isnan(mean_interval(np.array([0.3]), 0.25)).all()
    assert np.isnan(corrected_t(np.array([0.3]), 0.25))
    assert mean_interval(np.full(3, 0.25), 0.25) == (0.25, 0.25)
    assert corrected_t(np.full(3, 0.25), 0.25) == 0
    assert corrected_t(np.zeros(3), 0.25) == 1


@pytest.mark.parametrize(("splits", "ratio"), [(5, 2 / 7), (25, 2 / 7), (10, 0.1)])
def test_intervals_of_overlapping_splits_hold_the_mean_in_95_of_100_cases(
    splits: int, ratio: float
) -> None:
    drawn = overlapping(np.random.default_rng(splits), 3000, splits, ratio)
    held = [low <= 0 <= high for low, high in (mean_interval(row, ratio) for row in drawn)]
    assert 0.93 <= np.mean(held) <= 0.97
    # Students's, which takes them for independent, would not.
    naive = stats.ttest_1samp(drawn, 0, axis=1).pvalue
    assert np.mean(naive < 0.05) > 0.12


@pytest.mark.parametrize("splits", [5, 25])
def test_the_test_finds_in_nothing_what_is_not_there_in_5_of_100_cases(splits: int) -> None:
    drawn = overlapping(np.random.default_rng(7), 3000, splits, USUAL_RATIO)
    found = np.array([corrected_t(row, USUAL_RATIO) for row in drawn])
    assert 0.03 <= np.mean(found < 0.05) <= 0.07
    shifted = np.array([corrected_t(row + 3, USUAL_RATIO) for row in drawn])
    assert np.mean(shifted < 0.05) > 0.7


def test_on_real_folds_two_equal_classifiers_seldom_differ() -> None:
    """Nearest class means on one half of the features or the other, equal by symmetry."""
    generator = np.random.default_rng(3)
    ratio, found = 1 / 4, []
    for _ in range(400):
        labels = np.arange(100) % 2
        features = generator.normal(size=(100, 20)) + 0.3 * labels[:, None]
        differences = []
        for _repetition in range(5):
            folds = np.array_split(generator.permutation(100), 5)
            for fold in folds:
                train = np.setdiff1d(np.arange(100), fold)
                right = []
                for half in (slice(0, 10), slice(10, 20)):
                    x = features[:, half]
                    centres = [x[train][labels[train] == c].mean(axis=0) for c in (0, 1)]
                    distance = [((x[fold] - centre) ** 2).sum(axis=1) for centre in centres]
                    right.append((np.argmin(distance, axis=0) == labels[fold]).mean())
                differences.append(right[0] - right[1])
        found.append(corrected_t(np.array(differences), ratio))
    assert np.mean(np.array(found) < 0.05) <= 0.07


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("random-3", "random"), ("cv-1-4", "cv"), ("random-0-none", "random-none"),
        ("official", "official"), ("official-purged", "official-purged"),
    ],
)  # fmt: skip
def test_splits_of_one_kind_differ_in_their_seed_alone(name: str, kind: str) -> None:
    assert kind_of(name) == kind
    assert named_splits(pd.Series([name, name])) == name


def test_seeds_are_averaged_before_splits_are_counted() -> None:
    runs = paired_runs()
    more = runs[runs["seed"] < 2].assign(seed=9)
    found = by_split(pd.concat([runs, more]), [METRIC])
    assert len(found) == 2 * 5 * 3
    assert found["ratio"].tolist() == [USUAL_RATIO] * 30
    sized = by_split(runs.assign(n_train=70, n_test=35), [METRIC])
    assert sized["ratio"].tolist() == [0.5] * 30
    compared = compare_methods(pd.concat([runs, more]), "ours", [METRIC])
    assert compared["splits"].tolist() == [5] * 4


def test_methods_are_compared_on_each_data_set_split_by_split() -> None:
    found = compare_methods(paired_runs(), "ours", [METRIC]).set_index(["dataset", "against"])
    assert found["splits"].tolist() == [5] * 4
    assert found["split"].unique().tolist() == ["random, 5 splits"]
    row = found.loc[("a", "plain")]
    differences = 0.05 + 0.001 * np.arange(5)
    assert row["difference"] == pytest.approx(0.052)
    assert (row["low"], row["high"]) == pytest.approx(mean_interval(differences, USUAL_RATIO))
    assert (row["wins"], row["losses"]) == (5, 0)
    assert row["p"] == pytest.approx(corrected_t(differences, USUAL_RATIO))
    assert row["p_holm"] == pytest.approx(4 * row["p"])
    assert row["verdict"] == "better"


def test_data_sets_and_kinds_of_splits_are_never_pooled() -> None:
    runs = paired_runs()
    ours_on_b = (runs["method"] == "ours") & (runs["dataset"] == "b")
    runs.loc[ours_on_b, METRIC] -= 0.12
    other = runs.assign(split=runs["split"].str.replace("random", "scaffold"))
    other.loc[other["method"] == "ours", METRIC] += 0.2
    both = compare_methods(pd.concat([runs, other]), "ours", [METRIC])
    found = both[both["against"] == "plain"].set_index(["dataset", "split"])
    assert found.loc[("a", "random, 5 splits"), "difference"] == pytest.approx(0.052)
    assert found.loc[("b", "random, 5 splits"), "difference"] == pytest.approx(-0.068)
    assert found.loc[("b", "random, 5 splits"), "verdict"] == "worse"
    assert found.loc[("b", "scaffold, 5 splits"), "difference"] == pytest.approx(0.132)


def test_a_method_on_two_encoders_is_compared_within_each() -> None:
    runs = paired_runs()
    other = runs[runs["method"] != "same"].assign(encoder="other")
    other.loc[other["method"] == "ours", METRIC] -= 0.2
    both = pd.concat([runs, other], ignore_index=True)
    found = compare_methods(both, "ours", [METRIC]).set_index(["dataset", "against"])
    assert found.loc[("a", "plain"), "splits"] == 5, "encoders are no further splits"
    assert found.loc[("a", "plain"), "difference"] == pytest.approx(0.052 - 0.1)
    assert found.loc[("a", "same"), "difference"] == pytest.approx(0.052)


def test_a_forest_and_a_network_on_two_encoders_are_each_averaged_over_their_own() -> None:
    runs = paired_runs()
    other = runs[runs["method"] == "ours"].assign(encoder="other")
    other[METRIC] -= 0.2
    forest = runs["method"] == "plain"
    runs.loc[forest, "encoder"] = "bits"
    both = pd.concat([runs, other], ignore_index=True)
    found = compare_methods(both, "ours", [METRIC]).set_index(["dataset", "against"])
    assert found.loc[("a", "plain"), "splits"] == 5
    assert found.loc[("a", "plain"), "difference"] == pytest.approx(0.052 - 0.1)


def test_a_split_that_lacks_one_of_the_encoders_is_left_out() -> None:
    runs = paired_runs()
    forest = runs["method"] == "plain"
    runs.loc[forest, "encoder"] = "bits"
    other = runs[runs["method"] == "ours"].assign(encoder="other")
    other[METRIC] -= 0.2
    other = other[other["split"] != "random-0"]
    both = pd.concat([runs, other], ignore_index=True)
    found = compare_methods(both, "ours", [METRIC]).set_index(["dataset", "against"])
    # With the first split it would be compared on one encoder there, and on two elsewhere.
    assert found.loc[("a", "plain"), "splits"] == 4
    assert found.loc[("a", "plain"), "difference"] == pytest.approx(0.0525 - 0.1)


def test_a_method_is_compared_with_itself_or_another_on_one_encoder() -> None:
    runs = paired_runs()
    first = runs["encoder"].iloc[0]
    other = runs[runs["method"] != "same"].assign(encoder="other")
    other.loc[other["method"] == "ours", METRIC] -= 0.2
    both = pd.concat([runs, other], ignore_index=True)
    pairs = [
        ("ours on other", f"ours on {first}", METRIC),
        (f"ours on {first}", "plain on other", METRIC),
        ("ours on elsewhere", f"ours on {first}", METRIC),
    ]
    found = compare_pairs(both[both["dataset"] == "a"], pairs)
    assert found["difference"].to_list() == pytest.approx([-0.2, 0.052, np.nan], nan_ok=True)
    assert found["splits"].to_list() == [5, 5, 0]


def test_a_smaller_error_wins() -> None:
    rows = [
        {"dataset": "a", "split": f"random-{split}", "encoder": "e", "method": method, "seed": 0,
         "test_calibration_error_tail": value + split / 1000, "test_accuracy": value}
        for method, value in (("good", 0.1), ("bad", 0.3))
        for split in range(5)
    ]  # fmt: skip
    columns = ["test_calibration_error_tail", "test_accuracy"]
    found = compare_methods(pd.DataFrame(rows), "good", columns).set_index("metric")
    assert found.loc[columns[0], ["wins", "losses", "verdict"]].tolist() == [5, 0, "better"]
    assert found.loc[columns[1], ["wins", "losses", "verdict"]].tolist() == [0, 5, "worse"]
    assert (found["difference"] < 0).all()


def test_a_split_without_partner_is_left_out() -> None:
    runs = paired_runs()
    short = runs[~((runs["method"] == "plain") & (runs["split"] == "random-0"))]
    found = compare_methods(short, "ours", [METRIC]).set_index(["dataset", "against"])
    assert found.loc["a", "splits"].to_dict() == {"plain": 4, "same": 5}


@pytest.mark.parametrize(
    ("low", "high", "p", "verdict"),
    [
        (-0.009, 0.009, 0.9, "equal"),
        # Surely better, and by less than a point.
        (0.001, 0.008, 0.001, "equal"),
        (0.001, 0.05, 0.01, "better"),
        (-0.05, -0.001, 0.01, "worse"),
        (0.001, 0.05, 0.06, "undecided"),
        (-0.05, 0.05, 0.9, "undecided"),
        (np.nan, np.nan, np.nan, "undecided"),
    ],
)
def test_verdicts(low: float, high: float, p: float, verdict: str) -> None:
    row = {"metric": METRIC, "low": low, "high": high, "difference": (low + high) / 2, "p_holm": p}
    assert verdict_on(row) == verdict
    if verdict == "equal":
        assert verdict_on(row | {"metric": "seconds"}) != "equal", "seconds are no share"


def test_every_test_says_in_a_line_what_it_is() -> None:
    assert {"corrected_t", "signed_rank"} <= set(TESTS.names())
