"""Which blocks an ensemble averages, and which benchmarks cannot have it."""

from __future__ import annotations

from typing import Any

import pytest
from project import PROJECT

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock
from drugtail.config.base import validated
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue
from drugtail.runtime.errors import DrugtailError

CATALOGUE = Catalogue(PROJECT / "config")
MEMBERS = ["balanced_softmax", "random_forest"]
WHOLE = "prior_adjusted_ensemble"
ON_GAT = {"method": "balanced_softmax", "encoder": "gat"}


def plan(methods: list[Any], **more: Any) -> Plan:
    settings = {
        "name": "b", "title": "b", "datasets": ["demo"], "splits": ["random-0", "random-1"],
        "methods": methods, "seeds": ["0-1", "2-3"], "tables": ["head_tail"], "figures": [],
        "reference": "random_forest", **more,
    }  # fmt: skip
    return Plan(validated(Benchmark, settings, "b.yaml"), CATALOGUE)


def variant(name: str, *of: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "recipe": WHOLE, "settings": {"ensemble": {"of": [*of], **more}}}


def found(one: Plan, method: str) -> list[PlannedBlock]:
    return [block for block in one.blocks() if block.method == method]


def test_it_stands_in_the_rows_of_its_network_and_names_blocks_of_the_same_seeds() -> None:
    whole = plan([*MEMBERS, WHOLE], encoders=["gcn", "morgan_mlp"])
    blocks = found(whole, WHOLE)
    assert len(blocks) == 2 * 2 * 2
    paths = {block.path: block for block in whole.blocks()}
    for block in blocks:
        network, forest = (paths[name] for name in block.members)
        assert (network.method, network.encoder) == ("balanced_softmax", block.encoder)
        assert (forest.method, forest.encoder) == ("random_forest", "morgan")
        for member in (network, forest):
            assert (member.split, member.seeds) == (block.split, block.seeds)


def test_readers_of_tables_are_told_what_it_averages() -> None:
    seeds = variant(
        "all", {"method": "random_forest", "encoder": "morgan"}, over_seeds=True, tau=None
    )
    assert plan([*MEMBERS, WHOLE, seeds]).method_notes() == [
        "prior_adjusted_ensemble averages balanced_softmax and random_forest, with 0.5 log prior "
        "taken off; it trains nothing.",
        "all averages random_forest on morgan over all seeds, as they are; it trains nothing.",
    ]


def test_its_folder_is_another_one_when_a_member_is() -> None:
    def digest(**more: Any) -> str:
        return found(plan([*MEMBERS, WHOLE], **more), WHOLE)[0].digest

    first = digest()
    assert digest() == first
    assert digest(training={"epochs": 77}) != first
    assert digest(title="another") == first


def test_an_average_over_seeds_is_one_run_of_all_blocks() -> None:
    one = variant("all", "random_forest", over_seeds=True, tau=None)
    blocks = found(whole := plan(["random_forest", one]), "all")
    assert [(b.split, b.seeds) for b in blocks] == [("random-0", "0-0"), ("random-1", "0-0")]
    assert [name.rpartition("/")[2] for name in blocks[0].members] == ["seeds0-1", "seeds2-3"]
    fewer = found(plan(["random_forest", one], seeds=["0-1"]), "all")
    assert fewer[0].digest != blocks[0].digest
    assert whole.block(blocks[0].path) == blocks[0]


def test_a_member_by_another_name_is_the_block_that_is_trained() -> None:
    whole = plan(["logit_adjustment", "balanced_softmax", "random_forest", WHOLE])
    assert "logit_adjustment-" in found(whole, WHOLE)[0].members[0]


def test_members_on_other_encoders_are_named() -> None:
    mixed = variant(
        "mixed", {"method": "balanced_softmax", "encoder": "morgan_mlp"}, "random_forest"
    )
    blocks = found(plan([*MEMBERS, mixed], encoders=["gcn", "morgan_mlp"]), "mixed")
    assert {block.encoder for block in blocks} == {"morgan_mlp"}
    both = variant(
        "both", "balanced_softmax", {"method": "balanced_softmax", "encoder": "morgan_mlp"}
    )
    blocks = found(
        plan([*MEMBERS, both], encoders=["gcn", "morgan_mlp"], splits=["random-0"]), "both"
    )
    assert [block.encoder for block in blocks[::2]] == ["gcn", "morgan_mlp"]
    assert [name.split("/")[2] for name in blocks[0].members] == ["gcn", "morgan_mlp"]


def test_tuned_members_make_it_tuned_and_it_is_not_tuned_itself() -> None:
    whole = plan([*MEMBERS, WHOLE], tuning={"trials": 3})
    assert {block.settings for block in found(whole, WHOLE)} == {"tuned"}
    assert {tuning.method for tuning in whole.tunings()} == set(MEMBERS)


@pytest.mark.parametrize(
    ("methods", "says"),
    [
        (["random_forest", WHOLE], r"'balanced_softmax' is not among the methods; add it to them"),
        (["random_forest", "balanced_softmax", variant("two", WHOLE, "random_forest"), WHOLE],
         r"two: ensemble.of: 'prior_adjusted_ensemble' is an ensemble itself"),
        (["random_forest", "ride", variant("two", "ride", "random_forest")],
         r"'ride' gives no probabilities under known class shares.*tau to null"),
        (["random_forest", variant("one", "random_forest")],
         r"'random_forest' alone has nothing to be averaged with.*over_seeds: true"),
        (["random_forest", variant("one", "random_forest", "random_forest")], r"is named twice"),
        (["random_forest", {"name": "x", "recipe": WHOLE, "settings": {"loss.tau": 1}}], r"loss"),
        ([*MEMBERS, variant("odd", ON_GAT, "random_forest")],
         r"balanced_softmax is trained on gcn of demo; name one of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_averaged_is_refused_by_name(methods: list[Any], says: str) -> None:
    with pytest.raises(DrugtailError, match=says):
        plan(methods)


def test_where_several_estimators_could_be_meant_one_has_to_be_named() -> None:
    encoders = ["gcn", "morgan", "descriptors"]
    with pytest.raises(DrugtailError, match=r"random_forest is trained on morgan, descriptors of"):
        plan([*MEMBERS, WHOLE], encoders=encoders)
    named = variant("named", "balanced_softmax", {"method": "random_forest", "encoder": "morgan"})
    (block, *_) = found(plan([*MEMBERS, named], encoders=encoders), "named")
    assert [name.split("/")[2] for name in block.members] == ["gcn", "morgan"]
