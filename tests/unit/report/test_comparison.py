"""Tables of comparisons."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from collected_runs import CATALOGUE, METRICS, paired_runs

from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import write_parquet


def test_the_table_of_a_comparison_names_difference_interval_and_corrected_p(
    tmp_path: Path,
) -> None:
    runs = paired_runs().replace({"method": {"ours": "class_separability"}})
    write_parquet(tmp_path / "runs.parquet", runs)
    tabulate(tmp_path, CATALOGUE.table("separability_test"), tmp_path / "out")
    text = (tmp_path / "out.md").read_text()
    line = next(x for x in text.splitlines() if "plain" in x and "Tail recall" in x)
    assert "+5.2 [+5.1, +5.3]" in line
    assert re.search(r"\| a +\| b +\|", text)
    assert "| +5.2 | +5.2 |" in line
    assert "Holm" in text
    assert len(pd.read_csv(tmp_path / "out.csv")) == 2 * 3


def test_a_comparison_marks_where_class_distances_could_not_weigh(tmp_path: Path) -> None:
    runs = paired_runs().replace({"method": {"ours": "class_separability", "same": "distance"}})
    runs["class_weights"] = runs["method"].map({"distance": "class_distance"}).fillna("uniform")
    runs["weight_ratio"] = np.where(runs["dataset"] == "b", 1.0, 1.3)
    write_parquet(tmp_path / "runs.parquet", runs)
    tabulate(tmp_path, CATALOGUE.table("separability_test"), tmp_path / "out")
    lines = (tmp_path / "out.md").read_text().splitlines()
    marked = [line for line in lines if line.startswith("|") and "†" in line]
    assert len(marked) == len(METRICS)
    assert all("| distance" in line and "+5.2 | +5.2 † |" in line for line in marked)
    assert any("† With two classes" in line for line in lines)
