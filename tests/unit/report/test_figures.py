"""Figures."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from drugtail.report.figures.class_history import MOST_NAMES, class_history
from drugtail.report.figures.recall_by_class_size import recall_by_class_size
from drugtail.report.plot import plot
from drugtail.report.reclustering import MEASURED
from drugtail.runtime.parquet import write_parquet


def test_recall_of_two_encoders_is_drawn_apart(tmp_path: Path) -> None:
    rows = [
        {"dataset": "a", "split": "random-0", "encoder": encoder, "method": "plain", "seed": seed,
         "subset": "test", "label": label, "label_name": str(label), "n": 9,
         "n_train": 100 // (label + 1), "group": "head", "recall": recall}
        for encoder, recall in (("gcn", 0.9), ("wide", 0.1)) for seed in range(3)
        for label in range(4)
    ]  # fmt: skip
    write_parquet(tmp_path / "class_metrics.parquet", pd.DataFrame(rows))
    plot(
        "recall_by_class_size",
        {"classes": [tmp_path / "class_metrics.parquet"]},
        tmp_path / "recall",
    )
    drawn = (tmp_path / "recall.svg").read_text()
    assert "plain (gcn)" in drawn
    assert "plain (wide)" in drawn
    one = pd.DataFrame(rows).query("encoder == 'gcn'")
    write_parquet(tmp_path / "class_metrics.parquet", one)
    plot(
        "recall_by_class_size",
        {"classes": [tmp_path / "class_metrics.parquet"]},
        tmp_path / "recall",
    )
    assert "plain (gcn)" not in (tmp_path / "recall.svg").read_text()


def test_a_legend_of_many_lines_leaves_a_single_panel_its_width(tmp_path: Path) -> None:
    rows = [
        {"dataset": "a", "split": "random-0", "encoder": "gcn", "method": f"a_method_of_name_{i}",
         "seed": seed, "subset": "test", "label": label, "label_name": str(label), "n": 9,
         "n_train": 100 // (label + 1), "group": "head", "recall": 0.5 + i / 100}
        for i in range(10) for seed in range(2) for label in range(4)
    ]  # fmt: skip
    write_parquet(tmp_path / "class_metrics.parquet", pd.DataFrame(rows))
    plot(
        "recall_by_class_size",
        {"classes": [tmp_path / "class_metrics.parquet"]},
        tmp_path / "recall",
    )
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', (tmp_path / "recall.svg").read_text())
    assert size is not None
    width, height = (float(number) / 72 for number in size.groups())
    assert width < 5
    assert 3.2 < height < 5


def test_recall_of_many_methods_is_a_map_with_a_row_each_the_best_first(tmp_path: Path) -> None:
    """Of eleven methods and three classes, method i recalls class c in (i + 10 c) percent."""
    rows = [
        {
            "dataset": "d", "split": "random-0", "encoder": "gcn", "method": f"m{i}", "seed": seed,
            "subset": "test", "label": c, "label_name": f"class {c}", "n_train": n, "group": group,
            "n": 9, "recall": (i + 10 * c + 2 * seed - 1) / 100,
        }
        for i in range(11)
        for seed in range(2)
        for c, (n, group) in enumerate([(30, "tail"), (900, "head"), (100, "middle")])
    ]  # fmt: skip
    write_parquet(tmp_path / "class_metrics.parquet", pd.DataFrame(rows))
    plot(
        "recall_by_class_size", {"classes": [tmp_path / "class_metrics.parquet"]}, tmp_path / "map"
    )
    said = re.findall(r"<!-- (.*?) -->", (tmp_path / "map.svg").read_text())
    # From the largest class to the smallest.
    assert [text for text in said if text.startswith("class ")] == [
        "class 1 (900)", "class 2 (100)", "class 0 (30)",
    ]  # fmt: skip
    assert [text for text in said if re.match(r"m\d", text)] == [
        f"m{i}  {i + 10:.1f}" for i in reversed(range(11))
    ]
    assert [int(text) for text in said if text.isdecimal()] == [
        i + 10 * c for i in reversed(range(11)) for c in (1, 2, 0)
    ]


def ranked(folder: Path, rows: list[dict]) -> str:
    """Text of the figure of mean ranks."""
    write_parquet(folder / "runs.parquet", pd.DataFrame(rows))
    plot("critical_difference", {"runs": [folder / "runs.parquet"]}, folder / "ranks")
    return (folder / "ranks.svg").read_text()


def scored(dataset: str, split: int, method: str, value: float) -> dict:
    return {"dataset": dataset, "split": f"random-{split}", "encoder": "gcn", "method": method,
            "seed": 0, "status": "finished", "test_balanced_accuracy": value}  # fmt: skip


def test_methods_are_ranked_over_data_sets_or_splits_of_the_only_one(tmp_path: Path) -> None:
    rows = [
        scored(dataset, split, method, value + 0.01 * split)
        for dataset in ("a", "b", "c")
        for split in range(2)
        for method, value in (("good", 0.9), ("fair", 0.7), ("poor", 0.5))
    ]
    said = ranked(tmp_path, rows)
    assert "mean rank over 3 data sets" in said
    for name in ("good (1.0)", "fair (2.0)", "(3.0) poor"):
        assert f"<!-- {name} -->" in said
    one = [scored("a", split, m, v) for split in range(5) for m, v in (("x", 0.9), ("y", 0.7))]
    assert "mean rank over 5 splits" in ranked(tmp_path, one)
    assert "Fewer than 3 data sets or splits" in ranked(tmp_path, one[:4])


def test_bars_are_those_of_as_many_parents_as_all_folds_test(tmp_path: Path) -> None:
    rows = [
        {"dataset": "a", "split": f"cv-0-{fold}", "encoder": "gcn", "method": "plain", "seed": seed,
         "subset": "test", "label": label, "label_name": str(label), "n": 20, "parents": 10,
         "n_train": 100 // (label + 1), "group": "head", "recall": 0.3 + 0.2 * fold}
        for fold in range(2) for seed in range(2) for label in range(4)
    ]  # fmt: skip
    figure = recall_by_class_size(pd.DataFrame(rows))
    (axis,) = figure.axes
    assert axis.get_title() == "a cv, 2 splits"
    (bars,) = axis.containers[0].lines[2]
    low, high = proportion_confint(8, 20, method="wilson")
    for bar in bars.get_segments():
        assert bar[:, 1].tolist() == pytest.approx([low, high])
    # Nobody else does: it was not drawn by `plot`.
    plt.close(figure)


def test_the_plane_of_head_and_tail_names_rows_that_no_other_exceeds_in_both(
    tmp_path: Path,
) -> None:
    gains = {
        "cross_entropy": (0, 0), "both": (2, 5), "head": (4, -3), "tail": (-6, 9), "worse": (1, 4),
        "both+prior_0.5": (-7, 8),
    }  # fmt: skip
    rows = [
        {"dataset": "d", "split": f"cv-0-{fold}", "encoder": "gcn", "method": method, "seed": 0,
         "status": "finished", "test_balanced_accuracy_head": 0.8 + (head + 0.1 * fold) / 100,
         "test_balanced_accuracy_tail": 0.4 + tail / 100}
        for fold in range(5) for method, (head, tail) in gains.items()
    ]  # fmt: skip
    write_parquet(tmp_path / "runs.parquet", pd.DataFrame(rows))
    plot("trade_off", {"runs": [tmp_path / "runs.parquet"]}, tmp_path / "plane")
    said = re.findall(r"<!-- (.*?) -->", (tmp_path / "plane.svg").read_text())
    assert [text for text in said if re.match(r"\d+  ", text)] == ["1  both", "2  tail", "3  head"]
    assert {"d (cv, 5 splits)", "cross_entropy", "with the prior corrected"} <= set(said)


def test_a_single_method_has_no_plane(tmp_path: Path) -> None:
    row = {"dataset": "d", "split": "cv-0-0", "encoder": "gcn", "method": "m", "seed": 0,
           "status": "finished", "test_balanced_accuracy_head": 0.8,
           "test_balanced_accuracy_tail": 0.4}  # fmt: skip
    write_parquet(tmp_path / "runs.parquet", pd.DataFrame([row]))
    plot("trade_off", {"runs": [tmp_path / "runs.parquet"]}, tmp_path / "plane")
    assert "A single method" in (tmp_path / "plane.svg").read_text()


def test_without_a_tail_in_every_split_the_plane_says_so(tmp_path: Path) -> None:
    rows = [
        {"dataset": "d", "split": f"cv-0-{fold}", "encoder": "gcn", "method": method, "seed": 0,
         "status": "finished", "test_balanced_accuracy_head": 0.8,
         "test_balanced_accuracy_tail": float("nan")}
        for fold in range(5) for method in ("cross_entropy", "other")
    ]  # fmt: skip
    write_parquet(tmp_path / "runs.parquet", pd.DataFrame(rows))
    plot("trade_off", {"runs": [tmp_path / "runs.parquet"]}, tmp_path / "plane")
    assert "No split tests both" in (tmp_path / "plane.svg").read_text()


@pytest.mark.parametrize(("number", "named"), [(3, 3), (2 * MOST_NAMES + 1, 14)])
def test_lines_of_classes_are_named_with_their_size_the_largest_first(
    number: int, named: int
) -> None:
    rows = [
        {"dataset": "d", "split": "random-0", "encoder": "gcn", "method": "ours", "label": label,
         "n": 1000 + 10 * label, "epoch": epoch, "moment": "refresh",
         **dict.fromkeys(MEASURED, 0.5)}
        for label in range(number)
        for epoch in (1, 2)
    ]  # fmt: skip
    labels = range(number)
    classes = pd.DataFrame(
        {"dataset": "d", "label": labels, "label_name": [f"class {one}" for one in labels]}
    )
    figure = class_history(pd.DataFrame(rows), classes)
    legend = figure.axes[-1].get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == f"class {number - 1} ({1000 + 10 * (number - 1):,})"
    assert len(texts) == named
    assert len(figure.axes[-1].lines) == number
    plt.close(figure)
