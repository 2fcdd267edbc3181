"""A table says which methods were trained for longer than others."""

from __future__ import annotations

import pandas as pd

from drugtail.evaluation.effort import effort_note


def runs(**changes: tuple[int | None, int | None]) -> pd.DataFrame:
    methods = {"cross_entropy": (100, 1000), "focal": (100, 1003), "ride": (100, 1000), **changes}
    rows = [
        {"dataset": data, "split": "random-0", "encoder": "gcn", "method": name, "seed": seed,
         "status": "finished", "updates": times * updates if updates else updates,
         "molecules_seen": times * seen if seen else seen}
        for data, times in (("a", 1), ("b", 7))
        for name, (updates, seen) in methods.items()
        for seed in (0, 1)
    ]  # fmt: skip
    types = {"updates": "Int64", "molecules_seen": "Int64"}
    return pd.DataFrame(rows).astype(types)


def test_methods_that_were_trained_alike_need_no_note() -> None:
    assert effort_note(runs()) is None


def test_twice_the_molecules_and_a_twentieth_of_the_updates_are_said() -> None:
    note = effort_note(runs(supcon=(100, 2000), short=(5, 50)))
    assert note == (
        "Not all were trained alike, as multiples of most methods (updates: short ×0.05; "
        "molecules seen: short ×0.05, supcon ×2)."
    )


def test_classical_methods_and_runs_that_did_not_finish_do_not_count() -> None:
    assert effort_note(runs(random_forest=(0, 0))) is None
    frame = runs(short=(5, 50))
    frame.loc[frame["method"] == "short", "status"] = "diverged"
    assert effort_note(frame) is None


def test_runs_of_before_there_were_counts_say_nothing() -> None:
    assert effort_note(runs(short=(5, 50)).drop(columns="updates")) is None
    assert effort_note(runs(short=(None, None))) is None
