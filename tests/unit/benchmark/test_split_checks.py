"""A benchmark with a split that cannot be cut is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import PROJECT

from drugtail.benchmark.plan import Plan
from drugtail.config.base import validated
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue
from drugtail.runtime.errors import DrugtailError


def planned(split: str, dataset: str = "hiv", encoder: str = "gcn") -> Plan:
    value = {
        "encoders": [encoder],
        "name": "b", "title": "b", "datasets": [dataset], "splits": [split],
        "methods": ["cross_entropy"], "seeds": ["0-0"],
    }  # fmt: skip
    return Plan(validated(Benchmark, value, "b.yaml"), Catalogue(PROJECT / "config"))


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ("random", "add a split seed, for example random-0"),
        ("cv-7", "write cv-R-F, fold F"),
        ("cv-0-5", "fold F \\(0 to 4\\)"),
        ("cv-2x6", "cv-5x5 for all of five repetitions"),
        ("random-0-1", "random has no folds; write random-0"),
        (
            "random-0-nonsense",
            "cannot be grouped by 'nonsense'; write parent, scaffold, none",
        ),
        ("scaffold-0-none", "it groups by itself; leave none out"),
        ("official", "'hiv' has no published split"),
        ("official-purged", "'hiv' has no published split"),
        ("official-0", "official knows no seeds"),
        ("time", "'hiv' has no column of times"),
        ("rnadom-0", "did you mean random"),
    ],
)
def test_a_split_that_cannot_be_cut_is_refused(split: str, says: str) -> None:
    with pytest.raises(DrugtailError, match=says) as caught:
        planned(split)
    assert "splits: " in str(caught.value)


@pytest.mark.parametrize(
    ("split", "dataset"),
    [
        ("cv-1-4", "hiv"), ("random-0-scaffold", "hiv"), ("random-3-target", "davis"),
        ("official-purged", "taste"), ("official", "uspto_50k"), ("butina-2", "bbbp"),
    ],
)  # fmt: skip
def test_others_are_planned_under_their_names(split: str, dataset: str) -> None:
    plan = planned(split, dataset, "morgan_mlp")
    assert plan.split_name(split) == split
    assert [block.split for block in plan.blocks()] == [split]


def test_a_second_input_needs_an_encoder_that_it_can_be_joined_to() -> None:
    with pytest.raises(DrugtailError, match=r"davis is of molecules with a second input, whose f"):
        planned("random-0", "davis")


def test_encoders_that_do_not_read_a_data_set_are_said() -> None:
    value = {
        "name": "b", "title": "b", "datasets": ["davis", "hiv"], "splits": ["random-0"],
        "methods": ["cross_entropy"], "seeds": ["0-0"], "encoders": ["gcn", "morgan_mlp"],
    }  # fmt: skip
    plan = Plan(validated(Benchmark, value, "b.yaml"), Catalogue(PROJECT / "config"))
    assert [(b.dataset, b.encoder) for b in plan.blocks()] == [
        ("davis", "morgan_mlp"), ("hiv", "gcn"), ("hiv", "morgan_mlp"),
    ]  # fmt: skip
    said = "davis: gcn does not read it, so that cross_entropy is not trained on that"
    assert plan.remarks() == [said]


@pytest.mark.parametrize(
    ("kind", "featurizer", "says"),
    [
        (
            "smiles",
            "kmers",
            "'kmers' reads sequence and gives bits, but the second input is smiles",
        ),
        ("smiles", "atoms", "'atoms' reads smiles and gives graph, .* choose atom_pair, maccs"),
        ("sequence", "morgan", "'morgan' reads smiles .* is sequence .* choose kmers"),
    ],
)
def test_a_second_input_that_can_never_work_is_refused(
    tmp_path: Path, kind: str, featurizer: str, says: str
) -> None:
    text = (PROJECT / "config/datasets/davis.yaml").read_text()
    text = text.replace(
        "kind: sequence, featurizer: kmers", f"kind: {kind}, featurizer: {featurizer}"
    )
    path = tmp_path / "davis.yaml"
    path.write_text(text)
    with pytest.raises(DrugtailError, match=says):
        planned("random-0", str(path), "morgan_mlp")


def test_a_register_of_tasks_is_as_many_data_sets() -> None:
    plan = planned("random-0", "tox21")
    assert len(plan.datasets) == 12
    assert "tox21.NR_PPAR_gamma" in plan.datasets
    assert list(plan.registers) == ["tox21"]
    one = planned("random-0", "tox21.SR_p53")
    assert list(one.datasets) == ["tox21.SR_p53"]
    assert len(planned("cv-5x5").benchmark.splits) == 25
    with pytest.raises(DrugtailError, match=r"tox21 has the tasks .*tox21.SR_p53"):
        planned("random-0", "tox21.SR_p54")
