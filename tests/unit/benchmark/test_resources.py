"""What a training asks for before it has run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.resources import (
    amount,
    bytes_to_keep,
    megabytes_to_ask_for,
    minutes_to_ask_for,
    nominal_seconds,
    train_molecules,
)
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue


def plan_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Plan:
    # Splits of this folder are not there.
    config = Path("config").resolve()
    monkeypatch.chdir(tmp_path)
    settings = {
        "name": "sizes",
        "title": "Sizes",
        "datasets": ["npclassifier_superclass"],
        "splits": ["random-0"],
        "methods": ["cross_entropy"],
        "encoders": ["gcn"],
        "seeds": ["0-0"],
        "training": {"epochs": 100},
        "tables": ["head_tail"],
        **changes,
    }
    return Plan(Benchmark.model_validate(settings), Catalogue(config))


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def asked(**changes: Any) -> dict[str, Any]:
        with monkeypatch.context() as patch:
            plan = plan_of(tmp_path, patch, **changes)
            (job,) = plan.blocks()
            return {
                "molecules": train_molecules(plan, job),
                "work": amount(plan, job),
                "seconds": nominal_seconds(plan, job),
                "minutes": minutes_to_ask_for(plan, job),
                "megabytes": megabytes_to_ask_for(plan, job),
                "bytes": bytes_to_keep(plan, job),
            }

    return asked


def test_sizes_come_from_the_register_until_the_split_is_cut(ask: Any) -> None:
    # 7,847 molecules of the sample are left, of which 70 % train.
    assert ask()["molecules"] == 5_493
    assert ask()["work"] == 549_300
    # Files that are one table are added: 10,517 and 2,254 rows, and the third.
    assert ask(datasets=["taste"])["molecules"] > 0.7 * (10_517 + 2_254)


def test_longer_more_seeds_and_slower_encoders_ask_for_more_time(ask: Any) -> None:
    plain = ask()
    # What it takes to start does not grow.
    once = plain["seconds"] - 15
    assert ask(training={"epochs": 300})["seconds"] == pytest.approx(15 + 3 * once)
    assert ask(seeds=["0-4"])["seconds"] == pytest.approx(15 + 5 * once)
    assert ask(methods=["class_distance"])["seconds"] > 2 * once
    assert ask(encoders=["pna"])["seconds"] > 10 * once
    # The graph of both takes the time.
    assert ask(encoders=["gcn_and_morgan"])["seconds"] == plain["seconds"]
    # A kind that nobody measured is taken for the slowest.
    assert ask(encoders=["transformer"])["seconds"] == ask(encoders=["pna"])["seconds"]


def test_limits_are_four_times_what_it_takes_and_ten_minutes_at_least(ask: Any) -> None:
    long = ask(training={"epochs": 3_000})
    assert long["minutes"] == -(-4 * long["seconds"] // 60)
    assert ask(training={"epochs": 1})["minutes"] == 10
    assert ask(training={"epochs": 100_000}, encoders=["pna"])["minutes"] == 14 * 24 * 60


def test_more_molecules_and_seeds_ask_for_more_memory_and_disk(ask: Any) -> None:
    plain, large = (
        ask(),
        ask(datasets=["drugbank_ddi"], methods=["random_forest"], encoders=["morgan"]),
    )
    assert plain["megabytes"] == 2_000 + 100 + 54
    assert large["megabytes"] > 4_000
    assert ask(seeds=["0-4"])["megabytes"] == plain["megabytes"] + 400
    assert ask(seeds=["0-4"])["bytes"] > 4 * plain["bytes"]
    assert ask(keep_models=False)["bytes"] < plain["bytes"]
