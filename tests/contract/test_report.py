"""Every metric, statistical test, kind of table and figure keeps the contract of its axis."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from project import Project

from drugtail.config.table import METRIC_NAMES, OWN_COLUMNS, Criterion, Question, Table, TableColumn
from drugtail.data.groups import GROUPS
from drugtail.evaluation.metrics import METRICS, in_groups, metric_names, run_metrics
from drugtail.evaluation.statistics import TESTS, p_value
from drugtail.report.plot import plot
from drugtail.report.plots import FIGURES, PLOTS, plot_of
from drugtail.report.tables import TABLE_KINDS, tabulate
from drugtail.runtime.registry import first_line

HEAD_TAIL = ["head", "head", "middle", "tail"]


def predictions(molecules: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Classes, and logits that are right more often than not."""
    rng = np.random.default_rng(0)
    labels = rng.integers(4, size=molecules)
    return labels, rng.normal(size=(molecules, 4)) + 1.5 * np.eye(4)[labels]


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_is_a_number_that_hangs_on_neither_order_nor_numbering(name: str) -> None:
    labels, logits = predictions()
    found = run_metrics(labels, logits, HEAD_TAIL, names=[name])
    assert list(found) == metric_names([name])
    assert len(found) == (1 + len(GROUPS) if in_groups(name) else 1)
    assert np.isfinite(list(found.values())).all()
    order = np.random.default_rng(1).permutation(len(labels))
    assert run_metrics(labels[order], logits[order], HEAD_TAIL, names=[name]) == pytest.approx(
        found
    )
    # Class 0 is called 3, and so on; the groups go with them.
    renamed = run_metrics(3 - labels, logits[:, ::-1], HEAD_TAIL[::-1], names=[name])
    assert renamed == pytest.approx(found)


@pytest.mark.parametrize("name", METRICS.names())
def test_a_metric_tells_perfect_from_random_and_of_nothing_it_is_not_a_number(name: str) -> None:
    labels, logits = predictions()
    perfect = run_metrics(labels, 60 * np.eye(4)[labels], HEAD_TAIL, names=[name])[name]
    guessed = run_metrics(labels, logits[::-1], HEAD_TAIL, names=[name])[name]
    best, worse = (guessed, perfect) if name == "calibration_error" else (perfect, guessed)
    assert best > worse
    assert perfect == pytest.approx(0 if name == "calibration_error" else 1)
    if in_groups(name):
        # There is no class in the middle.
        groups = ["head", "head", "tail", "tail"]
        nothing = run_metrics(labels, logits, groups, names=[name])
        assert np.isnan(nothing[f"{name}_middle"])
        assert np.isfinite(nothing[f"{name}_tail"])


def test_a_plan_knows_the_names_of_all_metrics() -> None:
    assert sorted(METRIC_NAMES) == sorted(metric_names())


@pytest.mark.parametrize("name", [*METRICS.names(), *TESTS.names(), *TABLE_KINDS.names()])
def test_each_says_in_a_line_what_it_is(name: str) -> None:
    for registry in (METRICS, TESTS, TABLE_KINDS):
        if name in registry.names():
            assert first_line(registry[name]).endswith(".")


@pytest.mark.parametrize("name", TESTS.names())
def test_a_test_finds_what_is_there_and_seldom_what_is_not(name: str) -> None:
    rng = np.random.default_rng(0)
    large = rng.normal(1, 0.2, size=20)
    assert p_value(name, large) < 0.001
    assert p_value(name, -large) == pytest.approx(p_value(name, large))
    assert p_value(name, np.zeros(20)) == 1
    assert np.isnan(p_value(name, np.empty(0)))
    # Of independent splits, which are as good as trained on for ever.
    found = np.array([p_value(name, rng.normal(size=20), 1e-6) for _ in range(600)])
    assert 0.03 <= np.mean(found < 0.05) <= 0.07
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.fixture(scope="module")
def metrics(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Metrics of the tiny benchmark, with silhouettes of its classes."""
    folder = tmp_path_factory.mktemp("collected")
    split = "results/splits/tiny/random-0.parquet"
    measured = str(folder / "separability.parquet")
    molecules = "results/data/tiny/molecules.parquet"
    finished.run(
        "drugtail", "separability", "--molecules", molecules, "--split", split,
        "--output", measured,
    )  # fmt: skip
    blocks = [
        str(path.parent.relative_to(finished.folder))
        for path in sorted(finished.folder.glob("results/runs/**/status.json"))
    ]
    finished.run(
        "drugtail", "collect", *blocks, "--separability", measured, "--output", str(folder)
    )
    return folder


@pytest.mark.parametrize("kind", TABLE_KINDS.names())
def test_a_kind_of_table_says_the_same_in_each_of_its_forms(
    metrics: Path, tmp_path: Path, kind: str
) -> None:
    columns = [TableColumn(metric="balanced_accuracy", title="Balanced accuracy")]
    question = Question(asks="Is it?", method="class_distance", against="cross_entropy")
    criterion = Criterion(candidates=["class_distance"], baselines=["cross_entropy"], datasets=1)
    table = Table(
        name="one", title="One", kind=kind, columns=[] if kind in OWN_COLUMNS else columns,
        method="cross_entropy" if kind == "comparison" else None,
        questions=[question] if kind == "questions" else [],
        criterion=criterion if kind == "criterion" else None,
    )  # fmt: skip
    tabulate(metrics, table, tmp_path / "one")
    values = pd.read_csv(tmp_path / "one.csv")
    rows = [line for line in (tmp_path / "one.md").read_text().splitlines() if line[:1] == "|"]
    lines = (tmp_path / "one.tex").read_text().splitlines()
    printed = lines[lines.index("\\midrule") + 1 : lines.index("\\bottomrule")]
    assert len(values) == len(rows) - 2 == len(printed)


@pytest.mark.parametrize("name", FIGURES.names())
def test_a_figure_is_drawn_from_what_it_names_alone_and_is_the_same_every_time(
    finished: Project, metrics: Path, tmp_path: Path, name: str
) -> None:
    results = finished.folder / "results"
    known = {
        "splits": [*results.glob("splits/tiny/*.json")],
        "runs": [metrics / "runs.parquet"],
        "classes": [metrics / "class_metrics.parquet"],
        "history": [metrics / "class_history.parquet"],
        "embeddings": sorted(results.glob("runs/tiny/random-0/gcn/*/seeds0-1/embeddings.parquet")),
    }
    assert name in PLOTS, "a figure of the package has its caption there"
    assert plot_of(name).caption.endswith(".")
    assert set(plot_of(name).inputs) <= set(known)
    given = {kind: known[kind] for kind in plot_of(name).inputs}
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        plot(name, given, tmp_path / folder / name)
    for kind in ("svg", "png"):
        first, second = ((tmp_path / f / f"{name}.{kind}").read_bytes() for f in ("a", "b"))
        assert first == second
    assert plt.get_fignums() == []
