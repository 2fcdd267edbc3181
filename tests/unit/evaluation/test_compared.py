"""Means over classes are taken over the classes that every split has."""

from __future__ import annotations

from pathlib import Path

import pytest
from finished_block import block
from sklearn.metrics import accuracy_score, f1_score, recall_score

from drugtail.config.table import Table
from drugtail.evaluation.collect import collect_blocks
from drugtail.evaluation.compared import Compared, note_on
from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata


def test_means_are_over_the_classes_of_every_split(tmp_path: Path) -> None:
    one = block(tmp_path, "random-0", [0, 1, 2, 3])
    two = block(tmp_path, "random-1", [0, 1, 3])
    collect_blocks([one, two], tmp_path / "metrics")
    runs = read_parquet(tmp_path / "metrics/runs.parquet").set_index("split")
    for folder, split in ((one, "random-0"), (two, "random-1")):
        tested = read_parquet(folder / "predictions.parquet").query("subset == 'test'")
        predicted = tested.filter(like="logit_").to_numpy().argmax(1)
        common = {"labels": [0, 1, 3], "average": "macro"}
        found = runs.loc[split]
        wanted = recall_score(tested["label"], predicted, **common)
        assert found["test_balanced_accuracy"] == pytest.approx(wanted)
        wanted = f1_score(tested["label"], predicted, **common)
        assert found["test_macro_f1"] == pytest.approx(wanted)
        # A share of molecules is one of all of them.
        wanted = accuracy_score(tested["label"], predicted)
        assert found["test_accuracy"] == pytest.approx(wanted)
        new = tested["new_parent"]
        wanted = recall_score(tested["label"][new], predicted[new], **common)
        assert found["test_new_parents_balanced_accuracy"] == pytest.approx(wanted)
    own = read_parquet(one / "metrics.parquet")
    assert runs.loc["random-0", "test_balanced_accuracy"] != own["test_balanced_accuracy"][0]
    assert runs.loc["random-0", "valid_balanced_accuracy"] == own["valid_balanced_accuracy"][0]


def test_what_is_left_out_stands_in_the_header_and_below_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [block(tmp_path, "random-0", [0, 1, 2, 3]), block(tmp_path, "random-1", [0, 1, 3])]
    collect_blocks(folders, tmp_path / "metrics")
    says = "Means over classes leave out classes that not every split has (of toy 1: c)."
    assert says in capsys.readouterr().err
    header = read_parquet_metadata(tmp_path / "metrics/runs.parquet")
    assert header["left_out"] == {"toy": {"test": ["c"], "test_new_parents": ["c"]}}
    table = Table.model_validate(
        {"name": "t", "title": "T", "subset": "test",
         "columns": [{"metric": "balanced_accuracy", "title": "B"}]}
    )  # fmt: skip
    tabulate(tmp_path / "metrics", table, tmp_path / "t")
    assert says in (tmp_path / "t.md").read_text()


def test_splits_with_the_same_classes_keep_their_metrics(tmp_path: Path) -> None:
    folders = [block(tmp_path, f"random-{i}", [0, 1, 2, 3]) for i in range(2)]
    collect_blocks(folders, tmp_path / "metrics")
    runs = read_parquet(tmp_path / "metrics/runs.parquet")
    for folder, value in zip(folders, runs["test_balanced_accuracy"], strict=True):
        assert read_parquet(folder / "metrics.parquet")["test_balanced_accuracy"][0] == value
    assert read_parquet_metadata(tmp_path / "metrics/runs.parquet")["left_out"] == {}


def test_a_class_that_no_split_tests_is_listed_too(tmp_path: Path) -> None:
    found = Compared([block(tmp_path, "random-0", [0, 1]) / "predictions.parquet"])
    assert not found.uneven
    assert found.left_out()["test"] == ["c", "d"]


def test_a_long_list_is_shortened_in_a_note() -> None:
    names = [f"class {i}" for i in range(14)]
    note = note_on({"toy": {"test": names}}, "test")
    assert note is not None
    assert note.endswith("class 8, class 9 and 4 more).")
    assert note_on({"toy": {"valid": names}}, "test") is None
