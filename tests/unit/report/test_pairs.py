"""Tukey's and Nemenyi's tests between all methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from collected_runs import paired_runs
from scipy import stats
from statsmodels.stats.anova import AnovaRM
from statsmodels.stats.libqsturng import psturng

from drugtail.config.table import Table
from drugtail.evaluation.posthoc import nemenyi, tukey
from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import write_parquet


@pytest.fixture
def values() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(6, 1)) + np.array([0, 0.4, 0.5, 1.5])
    return pd.DataFrame(effects + 0.4 * rng.normal(size=(6, 4)), columns=list("abcd"))


def test_tukey_has_the_error_of_a_repeated_measures_analysis(values: pd.DataFrame) -> None:
    rows = values.reset_index(names="split").melt("split", var_name="method")
    anova = AnovaRM(rows, "value", "split", ["method"]).fit().anova_table.iloc[0]
    means = values.mean()
    between = len(values) * ((means - means.mean()) ** 2).sum() / anova["Num DF"]
    error = np.sqrt(between / anova["F Value"] / len(values))
    found = tukey(values)
    for one, two in (("a", "b"), ("b", "d"), ("c", "d")):
        q = abs(means[one] - means[two]) / error
        p = float(np.squeeze(psturng(q, len(means), anova["Den DF"])))
        assert found.loc[one, two] == pytest.approx(p, abs=0.003)
        assert found.loc[one, two] == found.loc[two, one]


def test_nemenyi_is_of_mean_ranks(values: pd.DataFrame) -> None:
    ranks = values.rank(axis=1).mean()
    scale = np.sqrt(4 * 5 / (6 * len(values)))
    expected = stats.studentized_range.sf(
        abs(ranks["a"] - ranks["d"]) / scale * np.sqrt(2), 4, np.inf
    )
    assert nemenyi(values).loc["a", "d"] == pytest.approx(expected, abs=1e-3)


def test_methods_that_never_differ_are_alike_for_sure() -> None:
    found = tukey(pd.DataFrame({"a": [0.1, 0.2], "b": [0.1, 0.2], "c": [0.3, 0.4]}))
    assert found.loc["a", "b"] == 1
    assert found.loc["a", "c"] == 0
    assert np.diag(found).tolist() == [1, 1, 1]


def test_the_table_is_a_matrix_and_its_csv_a_list(tmp_path: Path) -> None:
    runs = paired_runs()
    lacking = (runs["method"] == "same") & (runs["dataset"] == "b") & (runs["split"] == "random-3")
    write_parquet(tmp_path / "runs.parquet", runs[~lacking])
    columns = [{"metric": "balanced_accuracy", "title": "All"}]
    table = Table.model_validate({"name": "p", "title": "P", "kind": "pairs", "columns": columns})
    tabulate(tmp_path, table, tmp_path / "out", reference="plain")
    found = pd.read_csv(tmp_path / "out.csv")
    assert len(found) == 3 + 1
    assert found.loc[found["dataset"] == "b", ["method", "against"]].to_numpy().tolist() == [
        ["ours", "plain"]
    ]
    text = (tmp_path / "out.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    first = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert first[:4] == ["a", "random, 5 splits", "1 ours", "25.2"]
    tested = found[(found["dataset"] == "a") & (found["method"] == "ours")]
    assert float(first[5]) == pytest.approx(tested["tukey"].iloc[0], rel=0.06)
    below = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert float(below[4]) == pytest.approx(tested["nemenyi"].iloc[0], abs=0.0006)
    assert "nothing is inferred from them" in text


def test_a_single_split_has_no_pairs(tmp_path: Path) -> None:
    runs = paired_runs()
    write_parquet(tmp_path / "runs.parquet", runs[runs["split"] == "random-0"])
    columns = [{"metric": "balanced_accuracy", "title": "All"}]
    table = Table.model_validate({"name": "p", "title": "P", "kind": "pairs", "columns": columns})
    tabulate(tmp_path, table, tmp_path / "out", reference="plain")
    assert pd.read_csv(tmp_path / "out.csv").empty
