"""What the rounding of figures to whole molecules hides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugtail.evaluation.molecules import (
    TESTED,
    differences_with_rounding,
    share_of_one,
    with_group_sizes,
    with_rounding,
)
from drugtail.evaluation.statistics import (
    USUAL_RATIO,
    by_split,
    compare_pairs,
    corrected_t,
    mean_interval,
    on_splits,
)

TAIL = "test_balanced_accuracy_tail"
ONE = 1 / 60


def runs(tail: dict[str, list[float]], n_tail: int = 60) -> pd.DataFrame:
    rows = [
        {"dataset": "a", "split": f"cv-0-{split}", "encoder": "gcn", "method": method, "seed": 0,
         "n_train": 5000, "n_test": 1430, TAIL: value, "test_auroc_tail": value,
         **dict(zip(TESTED, (1370, 0, n_tail), strict=True))}
        for method, values in tail.items() for split, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_one_molecule_more_on_every_split_is_no_certainty() -> None:
    plain = [0.5, 0.55, 0.4, 0.45, 0.6]
    frame = runs({"plain": plain, "ours": [value + ONE for value in plain]})
    found = compare_pairs(frame, [("ours", "plain", TAIL)]).iloc[0]
    # Student's t by hand: the standard deviation is that of rounding to a molecule.
    error = ONE / np.sqrt(12) * np.sqrt(1 / 5 + 1430 / 5000)
    assert found["difference"] == pytest.approx(ONE)
    assert (found["high"] - found["low"]) / 2 == pytest.approx(2.776445 * error)
    assert found["p"] > 0.005
    assert (found["wins"], found["losses"]) == (5, 0)


@pytest.mark.parametrize("recall", [0.0, 1.0])
def test_a_recall_that_is_the_same_on_every_split_has_an_interval(recall: float) -> None:
    means = by_split(runs({"plain": [recall] * 5}, n_tail=3), [TAIL, "test_auroc_tail"])
    low, high = mean_interval(on_splits(means, TAIL), USUAL_RATIO)
    assert high - low > 0.1
    # What is no share of molecules is not rounded to them.
    assert on_splits(means, "test_auroc_tail").std() == 0


def test_methods_that_never_differ_are_equal_for_sure() -> None:
    same = [0.0] * 5
    found = compare_pairs(runs({"plain": same, "ours": same}, n_tail=3), [("ours", "plain", TAIL)])
    assert (found["low"].item(), found["high"].item(), found["p"].item()) == (0, 0, 1)
    assert (differences_with_rounding(np.zeros(5), 0.2) == 0).all()


def test_chance_among_few_molecules_is_not_taken_for_certainty() -> None:
    """Two equal methods that differ on one of 60 molecules now and then, on three splits."""
    generator = np.random.default_rng(0)
    drawn = generator.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=(2000, 3)) * ONE
    plain = np.array([corrected_t(row, USUAL_RATIO) for row in drawn])
    spread = np.array([corrected_t(with_rounding(row, ONE), USUAL_RATIO) for row in drawn])
    assert np.mean(plain < 0.001) > 0.01
    assert not (spread < 0.001).any()


@given(
    st.lists(st.floats(-1, 1, allow_subnormal=False), min_size=1, max_size=25),
    st.floats(0, 0.5),
)
def test_spreading_keeps_the_mean_and_only_ever_widens(values: list[float], one: float) -> None:
    before = np.array(values)
    after = with_rounding(before, one)
    assert after.mean() == pytest.approx(before.mean(), abs=1e-9)
    if len(before) > 1:
        assert after.std(ddof=1) >= min(one / np.sqrt(12), before.std(ddof=1)) - 1e-9
        assert after.std(ddof=1) == pytest.approx(
            max(one / np.sqrt(12), before.std(ddof=1)), abs=1e-9
        )
    else:
        assert (after == before).all()


@pytest.mark.parametrize(
    ("column", "one"),
    [
        (TAIL, 1 / 60),
        ("test_accuracy_head", 1 / 1370),
        ("test_balanced_accuracy", 1 / 1430),
        ("test_accuracy_middle", 0.0),
        ("test_auroc_tail", 0.0),
        ("valid_balanced_accuracy_tail", 0.0),
        ("seconds", 0.0),
    ],
)
def test_what_one_molecule_adds(column: str, one: float) -> None:
    frame = runs({"plain": [0.5]})
    assert share_of_one(frame, column) == pytest.approx(one)
    # Of runs without sizes nothing is known.
    assert share_of_one(frame.drop(columns=[*TESTED, "n_test"]), column) == 0


def test_sizes_of_groups_are_those_of_the_classes() -> None:
    classes = pd.DataFrame(
        [
            {"dataset": dataset, "split": "cv-0-0", "method": method, "subset": subset,
             "label": label, "group": group, "n": n}
            for dataset, n in (("a", 7), ("b", 9))
            for method in ("one", "two")
            for subset in ("valid", "test")
            for label, group in enumerate(("head", "tail", "tail"))
        ]
    )  # fmt: skip
    frame = pd.DataFrame({"dataset": ["a", "b"], "split": "cv-0-0", "n_test_tail": [1, 1]})
    found = with_group_sizes(frame, classes)
    assert found[TESTED].to_numpy().tolist() == [[7, 0, 14], [9, 0, 18]]
