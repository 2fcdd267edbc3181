"""The page of a benchmark: what it says first, and how its tables are cut."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from collected_runs import class_metrics, paired_runs
from finished_block import collected_blocks

from drugtail.evaluation.mistakes import confusions, read_predictions
from drugtail.evaluation.settings import with_tuned_names
from drugtail.evaluation.statistics import compare_pairs
from drugtail.report.leaderboard import boards, rankings, verdicts
from drugtail.report.page import build_page
from drugtail.runtime.errors import DrugtailError

TABLE = """\
Recall in percent.

| Data set | Split | Method | Recall |
| --- | --- | --- | --- |
| a | cv | plain \\| simple | 9.5 ± 1.0 |
| a | cv | ours | 10.5 ± 2.0 |

Notes.
"""


def runs() -> pd.DataFrame:
    frame = paired_runs().assign(settings="default", seconds=1.0)
    frame["valid_balanced_accuracy"] = frame["test_balanced_accuracy"]
    return frame


def page_of(folder: Path, frame: pd.DataFrame) -> str:
    for name, rows in (("runs", frame), ("classes", class_metrics())):
        rows.to_parquet(folder / f"{name}.parquet")
    (folder / "recalls.md").write_text(TABLE)
    build_page(
        title="A & B", notes=["Mind <this>."], runs=folder / "runs.parquet",
        classes=folder / "classes.parquet", reference="plain", tables=[folder / "recalls.md"],
        figures=[], datasets=[], splits=[], tunings=[], output=folder / "index.html",
    )  # fmt: skip
    return (folder / "index.html").read_text()


def test_it_answers_for_each_data_set_and_kind_of_split() -> None:
    frame = runs()
    other = frame[frame["dataset"] == "a"].assign(split=frame["split"] + "-scaffold")
    found = list(boards(pd.concat([frame, other]), "plain"))
    assert [board.title for board in found] == ["a, random", "b, random", "a, random-scaffold"]
    first = found[0]
    # Ours has five points more on every split, by validation molecules too.
    assert first.sentence.startswith("ours on gcn is best on validation molecules")
    assert "Against plain on gcn: +5.2 points [" in first.sentence
    assert first.sentence.endswith(": better.")
    assert [row[0].text for row in first.rows] == ["ours", "plain", "same"]


def test_a_single_split_tells_nothing_apart() -> None:
    (found, _) = boards(runs()[lambda frame: frame["split"] == "random-0"], "plain")
    assert found.sentence.endswith("A single split tells no method from another.")
    assert "±" not in " ".join(cell.text for row in found.rows for cell in row)


def test_a_reference_that_did_not_run_is_replaced_and_gaps_choose_nothing(tmp_path: Path) -> None:
    assert next(boards(runs(), "elsewhere")).answer.reference == "plain"
    gaps = runs().assign(status="missing")
    assert list(boards(gaps, "plain")) == []
    said = page_of(tmp_path, gaps)
    assert "No method is finished on every split, so none is chosen." in said
    assert "vegaEmbed" not in said


def test_what_all_rows_have_is_said_once_and_numbers_sort_as_numbers(tmp_path: Path) -> None:
    said = page_of(tmp_path, runs())
    table = said[said.index("<h3>Recall in percent.") :]
    assert "Data set: a; Split: cv" in table
    assert re.findall(r"<th>(.*?)</th>", table)[:2] == ["Method", "Recall"]
    cells = re.findall(r'<td data-order="(.*?)">(.*?)</td>', table)
    assert cells == [
        ("plain | simple", "plain | simple"), ("9.5", "9.5 ± 1.0"), ("ours", "ours"),
        ("10.5", "10.5 ± 2.0"),
    ]  # fmt: skip


def test_words_of_the_user_stay_words(tmp_path: Path) -> None:
    said = page_of(tmp_path, runs())
    assert "<h1>A &amp; B</h1>" in said
    assert "Mind &lt;this&gt;." in said


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "<!--<script>", "a\"b'c"])
def test_a_class_of_any_name_ends_no_script(tmp_path: Path, name: str) -> None:
    frame = runs().assign(dataset="six")
    classes = class_metrics().assign(method="ours")
    classes["label_name"] = classes["label_name"].replace("c0", name)
    classes["split"] = classes["split"].str.replace("cv-0", "random")
    frame.drop_duplicates(["split", "method"]).to_parquet(tmp_path / "runs.parquet")
    classes.to_parquet(tmp_path / "classes.parquet")
    build_page(
        title="t", notes=[], runs=tmp_path / "runs.parquet", classes=tmp_path / "classes.parquet",
        reference="plain", tables=[], figures=[], datasets=[], splits=[], tunings=[],
        output=tmp_path / "index.html",
    )  # fmt: skip
    said = (tmp_path / "index.html").read_text()
    assert "alert(1)</script>" not in said
    assert "<!--" not in said
    assert "alert(1)\\u003c/script>" in said or "alert" not in name
    assert said.count("</script>") == 5


def test_what_the_chosen_row_gets_wrong_is_on_the_page(tmp_path: Path) -> None:
    blocks, metrics, dataset = collected_blocks(tmp_path)
    build_page(
        title="t", notes=[], runs=metrics / "runs.parquet",
        classes=metrics / "class_metrics.parquet", reference="plain", tables=[], figures=[],
        datasets=[dataset], splits=[], tunings=[], output=tmp_path / "index.html", blocks=blocks,
    )  # fmt: skip
    said = (tmp_path / "index.html").read_text()
    assert "What focal+prior_0.5 on gcn gets wrong" in said
    tested = read_predictions(blocks[:2], 0.5)
    found = confusions(tested)
    wrong = found[found["label"] != found["predicted"]]
    table = said[said.index("Most frequent mistakes") :]
    rows = re.findall(r"<tr><td>(\w)</td><td>(\w)</td><td>([\d.]+)</td>", table)
    assert {(one, two, float(n)) for one, two, n in rows} == {
        (row["label"], row["predicted"], row["molecules"]) for row in wrong.to_dict("records")
    }
    # Both that can be drawn and that cannot; nothing of a user's is taken for HTML.
    assert "<code>not &lt;drawn&gt;</code>" in said
    assert 'alt="CCO"' in said
    # Recalls of the corrected row are there to be compared with others.
    assert '"focal+prior_0.5 on gcn"' in said
    assert "Recognised better than by plain on gcn: none." in said
    # No fold tests class c.
    assert "Too few tested to judge (fewer than 12 parent compounds): 1 of 4 classes: c." in said


def test_default_and_tuned_rows_of_a_method_are_told_apart() -> None:
    default = runs()
    tuned = default[default["method"] == "ours"].assign(settings="tuned")
    tuned["test_balanced_accuracy"] += 0.1
    tuned["valid_balanced_accuracy"] += 0.1
    corrected = tuned.assign(method="ours+prior_0.5")
    both = with_tuned_names(pd.concat([default, tuned, corrected], ignore_index=True))
    found = next(boards(both, "plain"))
    assert [row[0].text for row in found.rows] == [
        "ours+tuned", "ours+prior_0.5+tuned", "ours", "plain", "same",
    ]  # fmt: skip
    by_method = found.answer.board.set_index("method")["test_balanced_accuracy"]
    assert by_method["ours+tuned"] - by_method["ours"] == pytest.approx(0.1)


def test_rows_are_ranked_over_data_sets_of_one_kind_of_split() -> None:
    frame = runs()
    # On the third data set another one is best, and one row is missing.
    other = frame[(frame["dataset"] == "a") & (frame["method"] != "same")].assign(dataset="c")
    other.loc[other["method"] == "plain", "test_balanced_accuracy"] = 0.99
    alone = frame[frame["dataset"] == "a"].assign(split=frame["split"] + "-scaffold")
    (found,) = rankings(pd.concat([frame, other, alone]))
    assert (found.kind, found.datasets, found.left_out) == (
        "random", ["a", "b", "c"], ["same on gcn"],
    )  # fmt: skip
    # Ours is first, first and second of two.
    ours = next(row for row in found.rows if row[0].text == "ours")
    assert ours[2].order == pytest.approx(4 / 3)
    half = 4.302653 * np.std([1, 1, 2], ddof=1) / np.sqrt(3)
    assert ours[2].text == f"1.3 [1.0, {min(4 / 3 + half, 2):.1f}]"
    means = frame[frame["method"] == "ours"].groupby("dataset")["test_balanced_accuracy"].mean()
    assert [cell.order for cell in ours[3:5]] == pytest.approx(means.tolist())


def test_each_pair_is_compared_once_and_shown_from_both_sides() -> None:
    board = next(boards(runs(), "plain"))
    frame = runs()[lambda frame: frame["dataset"] == "a"]
    found = verdicts(frame, board.answer)
    assert found is not None
    assert len(found) == 6
    by_pair = found.set_index(["method", "against"])
    one = by_pair.loc[("ours on gcn", "plain on gcn")]
    two = by_pair.loc[("plain on gcn", "ours on gcn")]
    assert (one["verdict"], two["verdict"]) == ("better", "worse")
    assert one["difference"] == pytest.approx(5.2)
    assert (two["low"], two["high"]) == pytest.approx((-one["high"], -one["low"]))
    assert by_pair.loc[("same on gcn", "plain on gcn"), "verdict"] == "equal"
    # p is corrected for three pairs.
    compared = compare_pairs(frame, [("ours", "plain", "test_balanced_accuracy")]).iloc[0]
    assert one["p"] >= compared["p"]


def test_on_a_single_split_no_pair_is_compared() -> None:
    frame = runs()[lambda frame: (frame["dataset"] == "a") & (frame["split"] == "random-0")]
    assert verdicts(frame, next(boards(frame, "plain")).answer) is None


def test_blocks_without_their_data_set_are_refused(tmp_path: Path) -> None:
    blocks, metrics, _ = collected_blocks(tmp_path)
    with pytest.raises(DrugtailError, match=r"--dataset: has no dataset\.json of toy"):
        build_page(
            title="t", notes=[], runs=metrics / "runs.parquet",
            classes=metrics / "class_metrics.parquet", reference="plain", tables=[], figures=[],
            datasets=[], splits=[], tunings=[], output=tmp_path / "index.html", blocks=blocks,
        )  # fmt: skip
