"""Published metrics are what tables are made of, and nothing twice."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from drugtail.benchmark.published_metrics import read_metrics, write_metrics
from drugtail.config.table import Question, Table, TableColumn
from drugtail.runtime.parquet import write_parquet

RUN = {"dataset": ["a", "a"], "split": ["cv-0-0", "cv-0-1"], "method": ["m", "m"], "seed": [0, 0]}
RECALL = "balanced_accuracy"


def table(**changes: object) -> Table:
    columns = [TableColumn(metric=RECALL, title="All")]
    return Table(**{"name": "one", "title": "One", "columns": columns, **changes})


def published(folder: Path, new_parents: list[float | None], tables: list[Table]) -> pd.DataFrame:
    """Runs as they are read back; the file is in ``out/``."""
    runs = pd.DataFrame(
        {**RUN, f"valid_{RECALL}": [0.1, 0.2], f"test_{RECALL}": [0.3, None],
         f"test_new_parents_{RECALL}": new_parents}
    )  # fmt: skip
    classes = pd.DataFrame(
        {**RUN, "subset": ["valid", "test"], "label": [0, 0], "recall": [0.5, 0.25],
         "precision": [0.5, 0.5], "f1": [0.5, 0.3], "balanced_f1": [0.5, 0.3], "auprc": [0.6, 0.7]}
    )  # fmt: skip
    (folder / "in").mkdir()
    write_parquet(folder / "in/runs.parquet", runs, {"left_out": {}})
    write_parquet(folder / "in/class_metrics.parquet", classes)
    write_metrics(folder / "in", folder / "out", tables)
    read, header = read_metrics(folder / "out/runs.parquet")
    assert header == {"left_out": {}}
    expected = runs[read.columns]
    pd.testing.assert_frame_equal(read, expected)
    return read


def test_metrics_of_new_parents_stand_there_once_if_all_parents_are_new(tmp_path: Path) -> None:
    read = published(tmp_path, [0.3, None], [table()])
    assert f"test_new_parents_{RECALL}" in read
    assert list(pd.read_parquet(tmp_path / "out/runs.parquet")) == [*RUN, f"test_{RECALL}"]


def test_metrics_of_new_parents_stay_where_they_differ(tmp_path: Path) -> None:
    published(tmp_path, [0.3, 0.4], [table()])
    written = pd.read_parquet(tmp_path / "out/runs.parquet")
    assert list(written[f"test_new_parents_{RECALL}"]) == [0.3, 0.4]


def test_what_was_published_can_be_published_again(tmp_path: Path) -> None:
    read = published(tmp_path, [0.3, None], [table()])
    write_metrics(tmp_path / "out", tmp_path / "again", [table()])
    pd.testing.assert_frame_equal(read_metrics(tmp_path / "again/runs.parquet")[0], read)


@pytest.mark.parametrize(
    "changes",
    [
        {"subset": "valid"},
        {"columns": [TableColumn(metric=RECALL, title="All", subset="valid")]},
        {"kind": "questions", "columns": [],
         "questions": [Question(asks="?", method="m", against="n", subset="valid")]},
        {"kind": "my_own"},
    ],
    ids=["table", "column", "question", "own kind"],
)  # fmt: skip
def test_validation_stays_where_a_table_is_about_it(tmp_path: Path, changes: object) -> None:
    assert isinstance(changes, dict)
    read = published(tmp_path, [0.3, None], [table(), table(**changes)])
    assert list(read[f"valid_{RECALL}"]) == [0.1, 0.2]


def test_validation_is_left_out_where_no_table_is_about_it(tmp_path: Path) -> None:
    assert f"valid_{RECALL}" not in published(tmp_path, [0.3, None], [table()])


def test_of_classes_stays_what_predicted_classes_do_not_say(tmp_path: Path) -> None:
    published(tmp_path, [0.3, None], [table()])
    classes = pd.read_parquet(tmp_path / "out/class_metrics.parquet")
    assert list(classes["subset"]) == ["test"]
    assert set(classes) == {*RUN, "subset", "label", "recall", "auprc"}
