"""The best row of a table, and those that are not told apart from it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from drugtail.evaluation.leaders import BEST, TIED, Row, leaders
from drugtail.evaluation.statistics import compare_pairs, holm

BA = "test_balanced_accuracy"


def runs(splits: int = 5, **means: float) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = [
        {"dataset": dataset, "split": f"cv-0-{split}", "encoder": "gcn", "method": method,
         "seed": 0, BA: mean + generator.normal(0, 0.01),
         "test_calibration_error": 1 - mean + generator.normal(0, 0.01)}
        for dataset in ("a", "b") for split in range(splits) for method, mean in means.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_marks_are_those_of_the_corrected_test() -> None:
    frame = runs(best=0.7, near=0.695, middle=0.66, far=0.4)
    found = leaders(frame, [BA])
    for dataset in ("a", "b"):
        here = frame[frame["dataset"] == dataset]
        best = here.groupby("method")[BA].mean().idxmax()
        others = [name for name in ("best", "near", "middle", "far") if name != best]
        compared = compare_pairs(here, [(name, best, BA) for name in others])
        expected = {
            name: TIED
            for name, p in zip(others, holm(compared["p"].to_numpy()), strict=True)
            if p >= 0.05
        }
        marks = {row.method: mark for row, mark in found.items() if row.dataset == dataset}
        assert marks == expected | {best: BEST}
        assert "far" not in marks


def test_a_smaller_error_is_best() -> None:
    found = leaders(runs(one=0.9, two=0.5), ["test_calibration_error"])
    assert found == {
        Row(dataset, "cv", "gcn", "one", "test_calibration_error"): BEST for dataset in "ab"
    }


@pytest.mark.parametrize("splits", [1, 2])
def test_a_single_split_has_no_marks(splits: int) -> None:
    assert bool(leaders(runs(splits, one=0.9, two=0.5), [BA])) is (splits > 1)


def test_a_row_with_a_gap_has_none() -> None:
    frame = runs(one=0.9, two=0.89)
    gap = (frame["method"] == "one") & (frame["split"] == "cv-0-0")
    found = leaders(frame[~gap], [BA])
    assert {row.method for row in found} == {"two"}
