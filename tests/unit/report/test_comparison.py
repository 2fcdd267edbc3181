"""Tables of comparisons."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from collected_runs import CATALOGUE, paired_runs

from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import write_parquet


def compared(folder: Path, runs: pd.DataFrame, **changes: object) -> str:
    write_parquet(folder / "runs.parquet", runs)
    table = CATALOGUE.table("comparison").model_copy(update={"method": "ours", **changes})
    tabulate(folder, table, folder / "out")
    return (folder / "out.md").read_text()


def test_the_table_of_a_comparison_names_interval_corrected_p_and_verdict(tmp_path: Path) -> None:
    text = compared(tmp_path, paired_runs())
    line = next(x for x in text.splitlines() if "plain" in x and "Tail recall" in x)
    # By hand: 5.0 to 5.4 on five splits, 2.776 · 0.158 · √(1/5 + 2/7) = 0.306.
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:4] == ["a", "random, 5 splits", "plain", "Tail recall"]
    assert cells[4:7] == ["+5.2 [+4.9, +5.5]", "5", "0"]
    assert cells[-1] == "better"
    assert "corrected resampled t test (Nadeau, Bengio, 2003), two-sided" in text.replace("C", "c")
    assert len(pd.read_csv(tmp_path / "out.csv")) == 2 * 2 * 2


def test_where_nothing_could_be_significant_the_table_says_so(tmp_path: Path) -> None:
    runs = paired_runs()
    text = compared(tmp_path, runs, test="signed_rank")
    # Five splits can give 2^-4, times eight for the smallest of as many p values.
    assert "can give no p below 0.062, and none below 0.500 for the smallest of 8" in text
    assert "nothing here could be significant" not in compared(tmp_path, runs)
    one = compared(tmp_path, runs[runs["split"] == "random-0"])
    assert "On a single split no difference can be told from chance." in one
    assert "n/a" in one


def test_a_comparison_marks_where_class_distances_could_not_weigh(tmp_path: Path) -> None:
    runs = paired_runs().replace({"method": {"same": "distance"}})
    runs["class_weights"] = runs["method"].map({"distance": "class_distance"}).fillna("uniform")
    runs["weight_ratio"] = np.where(runs["dataset"] == "b", 1.0, 1.3)
    lines = compared(tmp_path, runs).splitlines()
    marked = [line for line in lines if line.startswith("|") and "†" in line]
    assert len(marked) == 2
    assert all(re.match(r"\| b +\| random, 5 splits \| distance .*\] †", line) for line in marked)
    assert any("† With two classes" in line for line in lines)
