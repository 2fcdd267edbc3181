"""A fixed correction of the prior, from stored predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from finished_block import block
from project import PROJECT
from scipy.special import log_softmax, softmax

from drugtail.config.base import Settings, merged
from drugtail.config.catalogue import Catalogue
from drugtail.config.table import Table
from drugtail.config.trained_shares import trained_shares
from drugtail.evaluation.collect import check_complete, collect_blocks
from drugtail.evaluation.derived_rows import is_derived
from drugtail.methods.prior import corrected
from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata
from drugtail.training.record import SeedResult, learned_shares

CATALOGUE = Catalogue(PROJECT / "config")
COUNTS = [800, 150, 50]
PI = np.array(COUNTS) / sum(COUNTS)
EVEN = np.full(3, 1 / 3)
# Of the blocks that `finished_block` makes.
OF_BLOCKS = [share / 95 for share in (50, 30, 10, 5)]


def shares(method: str, measured: list[float] | None = None, **changes: Any) -> Any:
    found = trained_shares(merged(CATALOGUE.recipe(method), changes), COUNTS, measured)
    return None if found is None else np.array(found)


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("cross_entropy", PI), ("focal", PI), ("mixup", PI),
        ("supcon", EVEN), ("kcl", EVEN), ("sbcl", EVEN), ("random_forest", PI),
        ("class_balanced_sampling", EVEN), ("undersampling", EVEN),
        ("deferred_resampling", EVEN), ("inverse_frequency", EVEN), ("cost_sensitive", EVEN),
        ("balanced_softmax", EVEN), ("logit_adjustment", EVEN), ("crt", EVEN),
        ("logit_adjustment_posthoc", EVEN), ("balanced_random_forest", EVEN), ("lightgbm", EVEN),
        ("smote_logistic", EVEN), ("easy_ensemble", EVEN),
        ("square_root_sampling", PI**0.5 / (PI**0.5).sum()),
        ("inverse_square_root", PI**0.5 / (PI**0.5).sum()),
    ],
)  # fmt: skip
def test_a_method_has_learned_the_shares_that_it_was_trained_on(
    method: str, wanted: np.ndarray
) -> None:
    np.testing.assert_allclose(shares(method), wanted, rtol=1e-6)


class Silent(Settings):
    """Settings of a component of somebody's that says nothing of shares."""

    name: str = "silent"


class Halving(Silent):
    """One that says that it halves the differences of their logarithms."""

    def prior(self, shares: list[float], counts: list[int]) -> list[float]:
        assert counts == COUNTS
        return [share**0.5 / sum(s**0.5 for s in shares) for share in shares]


@pytest.mark.parametrize("part", ["sampler", "class_weights", "loss", "posthoc", "mixing"])
def test_a_component_of_ones_own_may_say_what_becomes_of_the_shares(part: str) -> None:
    plain = CATALOGUE.recipe("cross_entropy")
    assert trained_shares(plain.model_copy(update={part: Silent()}), COUNTS) is None
    if part != "mixing":
        found = trained_shares(plain.model_copy(update={part: Halving()}), COUNTS)
        np.testing.assert_allclose(np.array(found), PI**0.5 / (PI**0.5).sum())
    forest = CATALOGUE.recipe("random_forest")
    assert trained_shares(forest.model_copy(update={"classifier": Silent()}), COUNTS) is None


@pytest.mark.parametrize(
    "method",
    ["ldam", "ride", "tlc", "paco", "cibl", "remix", "bbn", "dive", "two_phase_food", "ncm",
     "vector_scaling", "influence_balanced", "progressive_sampling", "tau_norm"],
)  # fmt: skip
def test_where_logits_are_no_posteriors_it_is_not_defined(method: str) -> None:
    assert shares(method) is None


def test_every_method_has_an_answer() -> None:
    for name in CATALOGUE.names("methods"):
        found = shares(name, [1.0, 1.2, 0.8])
        assert found is None or found.sum() == pytest.approx(1)


def test_strengths_and_measured_weights_count() -> None:
    half = shares("logit_adjustment", **{"loss": {"name": "logit_adjustment", "tau": 0.5}})
    np.testing.assert_allclose(half, PI**0.5 / (PI**0.5).sum())
    assert shares("class_distance") is None, "before its weights are known"
    weighed = PI * np.array([1.0, 1.2, 0.8])
    np.testing.assert_allclose(shares("class_distance", [1.0, 1.2, 0.8]), weighed / weighed.sum())
    plain = {"classifier": {"name": "lightgbm", "class_weight": None}}
    np.testing.assert_allclose(shares("lightgbm", **plain), PI)


def test_the_whole_prior_taken_off_gives_the_classifier_of_even_classes() -> None:
    rng = np.random.default_rng(0)
    likelihood = rng.dirichlet([1, 1, 1], size=50)
    posterior = likelihood * PI / (likelihood * PI).sum(1, keepdims=True)
    found = corrected(np.log(posterior) + 3.0, PI, 1.0)
    np.testing.assert_allclose(
        softmax(found, axis=1), likelihood / likelihood.sum(1, keepdims=True), rtol=1e-6
    )
    np.testing.assert_allclose(
        corrected(np.log(posterior), PI, 0.5), np.log(posterior) - 0.5 * np.log(PI), rtol=1e-6
    )


def test_even_shares_change_no_prediction() -> None:
    logits = np.random.default_rng(1).normal(size=(40, 3))
    assert (corrected(logits, EVEN, 1.0).argmax(1) == logits.argmax(1)).all()


def test_probabilities_of_zero_are_floored() -> None:
    found = corrected(np.array([[0.0, -np.inf, -np.inf]]), PI, 1.0)
    np.testing.assert_allclose(found[0], [0, np.log(1e-6), np.log(1e-6)] - np.log(PI))


def test_every_run_gets_a_row_and_undefined_methods_are_named(tmp_path: Path) -> None:
    shares = {"cross_entropy": OF_BLOCKS, "ldam": None, "balanced_softmax": [0.25] * 4}
    folders = [block(tmp_path, "random-0", [0, 1, 2, 3], *one) for one in shares.items()]
    plain = folders[0]
    collect_blocks(folders, tmp_path / "metrics", corrections=[1.0])
    runs = read_parquet(tmp_path / "metrics/runs.parquet")
    assert runs["method"].tolist() == [
        "cross_entropy", "cross_entropy+prior_1", "ldam", "balanced_softmax",
    ]  # fmt: skip
    assert runs["status"].tolist() == ["finished"] * 4
    tested = read_parquet(plain / "predictions.parquet").query("subset == 'test'")
    logits = log_softmax(tested.filter(like="logit_").to_numpy(), axis=1)
    prior = np.array([50, 30, 10, 5]) / 95
    guess = (logits - np.log(prior)).argmax(1)
    right = [(guess == tested["label"])[tested["label"] == c].mean() for c in range(4)]
    assert runs["test_balanced_accuracy"][1] == pytest.approx(np.mean(right))
    header = read_parquet_metadata(tmp_path / "metrics/runs.parquet")
    assert header["uncorrected"] == ["ldam"]
    table = Table.model_validate(
        {"name": "t", "title": "T", "columns": [{"metric": "balanced_accuracy", "title": "B"}]}
    )
    tabulate(tmp_path / "metrics", table, tmp_path / "t")
    text = (tmp_path / "t.md").read_text()
    assert "cross_entropy+prior_1" in text
    says = "Nothing is left to correct for balanced_softmax. Not defined for ldam."
    assert f"nothing is trained. {says}" in text


def test_rows_of_a_correction_are_no_runs(tmp_path: Path) -> None:
    plain = block(tmp_path, "random-0", [0, 1, 2, 3], "cross_entropy", OF_BLOCKS)
    collect_blocks([plain], tmp_path / "metrics", corrections=[0.5, 1.0])
    path = tmp_path / "metrics/runs.parquet"
    assert is_derived(read_parquet(path)["method"]).tolist() == [False, True, True]
    assert check_complete(path) == 1


def test_weights_that_are_measured_are_those_of_the_chosen_epoch() -> None:
    weights = {0: [1.0, 1.0, 1.0], 1: [0.5, 1.0, 1.5], 2: [9.0, 9.0, 1.0]}
    rows = [
        {"moment": "refresh", "epoch": epoch, "label": c, "weight": weight}
        for epoch, each in weights.items()
        for c, weight in enumerate(each)
    ]
    results = {
        3: SeedResult("finished", 3, 1, [], rows), 4: SeedResult("diverged", 2, None, [], []),
    }  # fmt: skip
    found = learned_shares(CATALOGUE.recipe("class_distance"), COUNTS, results)
    weighed = PI * np.array(weights[1])
    assert found == {"3": pytest.approx(weighed / weighed.sum()), "4": None}
