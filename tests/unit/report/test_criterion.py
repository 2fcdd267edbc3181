"""A criterion that is written before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from collected_runs import CATALOGUE
from scipy import stats

from drugtail.benchmark.plan import Plan
from drugtail.config.base import validated
from drugtail.config.benchmark import Benchmark
from drugtail.config.table import Criterion, Table
from drugtail.evaluation.criterion import judge
from drugtail.report.tables import tabulate
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import write_parquet

WANTED = Criterion(candidates=["ours", "costly"], baselines=["plain", "trees"], datasets=2)
NAMES = ("balanced_accuracy", "balanced_accuracy_head", "balanced_accuracy_tail")
# Method -> balanced accuracy, head and tail, in points.
MEANS = {
    "plain": (50.0, 80.0, 20.0),
    "trees": (54.0, 78.0, 30.0),
    "ours": (60.0, 77.0, 43.0),
    "costly": (60.0, 75.0, 45.0),
}
NOISE = np.random.default_rng(0).normal(0, 0.5, (5, len(MEANS)))


def runs(datasets: tuple[str, ...] = ("many", "two"), **means: tuple[float, ...]) -> pd.DataFrame:
    rows = []
    for dataset in datasets:
        for split in range(5):
            for number, (method, values) in enumerate((MEANS | means).items()):
                shown = [(value + NOISE[split, number]) / 100 for value in values]
                row = {"dataset": dataset, "split": f"cv-0-{split}", "encoder": "morgan_mlp",
                       "method": method, "seed": 0, "status": "finished"}  # fmt: skip
                rows.append(row | {f"test_{n}": v for n, v in zip(NAMES, shown, strict=True)})
    return pd.DataFrame(rows)


def judged(frame: pd.DataFrame, wanted: Criterion = WANTED) -> pd.DataFrame:
    found = judge(frame, wanted, {"many": 12, "two": 2})
    return found.set_index(["candidate", "dataset"])


def test_head_and_tail_are_counted_from_the_best_baseline() -> None:
    found = judged(runs())
    assert (found["best"] == "trees").all()
    assert found.loc[("ours", "many"), "tail"] == pytest.approx(0.13, abs=0.006)
    assert found.loc[("ours", "many"), "head"] == pytest.approx(-0.01, abs=0.006)
    # Three points of the head are too much of twelve classes, of two they are allowed.
    exact = runs(costly=(60.0, 75.1, 45.0))
    assert judged(exact)["reached"].to_dict() == {
        ("ours", "many"): True, ("costly", "many"): False,
        ("ours", "two"): True, ("costly", "two"): True,
    }  # fmt: skip


def test_p_is_the_larger_one_against_both_baselines() -> None:
    frame = runs()
    wide = frame[frame["dataset"] == "many"].pivot(
        index="split", columns="method", values="test_balanced_accuracy"
    )
    expected = []
    for baseline in ("plain", "trees"):
        d = (wide["ours"] - wide[baseline]).to_numpy()
        error = d.std(ddof=1) * np.sqrt(1 / 5 + 2 / 7)
        expected.append(2 * stats.t.sf(abs(d.mean()) / error, 4))
    found = judged(frame)
    assert found.loc[("ours", "many"), "p"] == pytest.approx(max(expected))
    assert (found["p_holm"] >= found["p"]).all()
    assert found["p_holm"].min() == pytest.approx(4 * found["p"].min())


@pytest.mark.parametrize(
    "means",
    [
        {"ours": (54.1, 77.9, 43.0)},  # not better
        {"ours": (60.0, 77.9, 34.0)},  # four points of the tail
        {"ours": (60.0, 74.0, 43.0)},  # four points of the head
        {"trees": (60.1, 78.0, 30.0)},  # one of the baselines is as good
        {"ours": (60.0, 77.9, float("nan"))},  # no tail
    ],
)
def test_each_part_of_the_criterion_can_fail(means: dict[str, tuple[float, ...]]) -> None:
    found = judged(runs(**means))
    assert not found.loc["ours", "reached"].any()


def test_without_a_baseline_nothing_is_reached() -> None:
    frame = runs()
    found = judged(frame[frame["method"] != "trees"])
    assert found["p"].isna().all()
    assert not found["reached"].any()
    none = judged(frame[~frame["method"].isin(["plain", "trees"])])
    assert not none["reached"].any()
    assert judge(frame.iloc[:0], WANTED, {}).empty


def test_a_reader_is_told_who_succeeds(tmp_path: Path) -> None:
    frame = runs()
    write_parquet(tmp_path / "runs.parquet", frame)
    classes = [
        {"dataset": dataset, "label": label}
        for dataset, number in (("many", 12), ("two", 2))
        for label in range(number)
    ]
    write_parquet(tmp_path / "class_metrics.parquet", pd.DataFrame(classes))
    definition = {"name": "c", "title": "C", "kind": "criterion", "criterion": WANTED.model_dump()}
    tabulate(tmp_path, Table.model_validate(definition), tmp_path / "out")
    text = (tmp_path / "out.md").read_text()
    assert "ours: success; reached on 2 of 2 data sets, wanted on 2." in text
    assert "costly: no success; reached on 1 of 2 data sets, wanted on 2." in text
    assert "each of plain and trees" in text
    assert pd.read_csv(tmp_path / "out.csv")["reached"].tolist().count(True) == 3


def table(**changes: Any) -> Table:
    value = {"name": "c", "title": "C", "kind": "criterion", "criterion": WANTED.model_dump()}
    return Table.model_validate(value | changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"criterion": None}, "a table of kind criterion needs it"),
        ({"kind": "ranks", "columns": [{"metric": "mcc", "title": "MCC"}]}, "no other has it"),
        ({"columns": [{"metric": "mcc", "title": "MCC"}]}, "have their own"),
    ],
)
def test_a_table_and_its_criterion_belong_together(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        table(**changes)


def test_rows_that_the_benchmark_lacks_are_refused() -> None:
    value = {
        "name": "e", "title": "E", "datasets": ["demo"], "splits": ["cv-1x5"],
        "methods": ["cross_entropy", "lightgbm"], "seeds": ["0-0"], "tables": ["confirmation"],
    }  # fmt: skip
    with pytest.raises(DrugtailError, match="criterion: candidates: 'prior_adjusted_ensemble' is"):
        Plan(validated(Benchmark, value, "e.yaml"), CATALOGUE)
