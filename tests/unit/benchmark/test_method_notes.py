"""Methods of two names are trained once; what was made anew is said."""

from __future__ import annotations

from typing import Any

import pytest
from project import PROJECT

from drugtail.benchmark.plan import Plan
from drugtail.config.base import validated
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue
from drugtail.runtime.errors import DrugtailError

CATALOGUE = Catalogue(PROJECT / "config")


def plan(methods: list[Any], **more: Any) -> Plan:
    settings = {
        "name": "b", "title": "b", "datasets": ["demo"], "splits": ["random-0"],
        "methods": methods, "seeds": ["0-0"], "tables": ["head_tail"], "figures": [],
        "reference": "cross_entropy", **more,
    }  # fmt: skip
    return Plan(validated(Benchmark, settings, "b.yaml"), CATALOGUE)


def trained(one: Plan) -> list[str]:
    return [block.method for block in one.blocks()]


def test_one_method_under_two_names_is_trained_once_and_both_names_are_said() -> None:
    names = ["cross_entropy", "logit_adjustment", "balanced_softmax", "cost_sensitive",
             "inverse_frequency"]  # fmt: skip
    found = plan(names)
    assert trained(found) == ["cross_entropy", "logit_adjustment", "cost_sensitive"]
    notes = [
        "balanced_softmax is logit_adjustment by another name: trained and shown once.",
        "inverse_frequency is cost_sensitive by another name: trained and shown once.",
    ]
    assert found.method_notes() == notes
    assert found.remarks()[:2] == notes
    with pytest.raises(DrugtailError, match=r"'inverse_frequency' is 'cost_sensitive' by another"):
        plan(names, reference="inverse_frequency")


def test_what_differs_in_anything_is_trained_apart() -> None:
    stronger: Any = {"name": "logit_adjustment", "settings": {"loss.tau": 0.5}}
    assert trained(plan(["cross_entropy", "balanced_softmax", stronger])) == [
        "cross_entropy", "balanced_softmax", "logit_adjustment",
    ]  # fmt: skip
    # Variants that somebody names are theirs, also if they are alike.
    twin = {"name": "twin", "recipe": "cross_entropy"}
    assert trained(plan(["cross_entropy", twin])) == ["cross_entropy", "twin"]
    # Tuned, one has a strength to choose and the other has none.
    both = ["cross_entropy", "balanced_softmax", "logit_adjustment"]
    assert trained(plan(both, tuning={"trials": 2})) == both


def test_settings_of_the_benchmark_are_said() -> None:
    weaker: Any = {"name": "weaker", "recipe": "logit_adjustment", "settings": {"loss.tau": 0.5}}
    settings = {"classifier.n_estimators": 20, "classifier.class_weight": None}
    forest: Any = {"name": "random_forest", "settings": settings}
    assert plan(["cross_entropy", weaker, forest]).method_notes() == [
        "weaker: logit_adjustment with loss.tau 0.5.",
        "random_forest: the recipe with classifier.n_estimators 20, classifier.class_weight null.",
    ]


def test_a_reconstruction_is_said_to_be_one() -> None:
    found = plan(["cross_entropy", "cibl", "two_phase_food"]).method_notes()
    assert [note.partition(":")[0] for note in found] == [
        "cibl is a reconstruction", "two_phase_food is a reconstruction",
    ]  # fmt: skip
    assert all("abstract" in note for note in found)
