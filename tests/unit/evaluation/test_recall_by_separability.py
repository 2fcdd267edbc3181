"""Recall of classes against their size and their separability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from collected_runs import CATALOGUE, class_metrics
from scipy import stats

from drugtail.evaluation.across import hierarchical
from drugtail.evaluation.recall_by_separability import (
    BETWEEN,
    class_slope,
    recall_by_separability,
)
from drugtail.report.plot import plot
from drugtail.report.table_kinds.separability import _printed
from drugtail.report.tables import tabulate
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import write_parquet


def on_test() -> pd.DataFrame:
    frame = class_metrics()
    return frame[frame["subset"] == "test"]


def test_correlations_are_over_the_classes_of_a_data_set() -> None:
    found = recall_by_separability(on_test()).set_index("dataset")
    six = found.loc["six"]
    assert six["split"] == "cv, 2 splits"
    assert six["silhouette_rho"] == pytest.approx(1)
    sizes = [1000 // (c + 1) for c in range(6)]
    recall = [0.2, 0.9, 0.4, 0.3, 0.95, 0.6]
    assert six["size_rho"] == pytest.approx(stats.spearmanr(sizes, recall).statistic)
    # Two folds of one cross-validation test 40 parents each.
    assert (six["classes"], six["parents"]) == (6, 480)
    assert (six["smallest"], six["largest"]) == (166, 1000)
    # Silhouettes are half of recall, less 0.3: 0.1 of one goes with 20 points.
    assert six["slope"] == pytest.approx(0.2)
    # Mean recall is 0.558; the tail classes have 0.3, 0.95 and 0.6.
    assert (six["easy_tail"], six["tail"]) == (2, 3)
    assert np.isnan(found.loc["two", "silhouette_rho"])
    assert np.isnan(found.loc["two", "slope"])
    assert "all" not in found.index, "one data set with a slope is no mean over data sets"


def test_a_class_without_test_molecules_or_silhouette_is_left_out() -> None:
    frame = on_test()
    frame.loc[frame["label"] == 1, "recall"] = np.nan
    frame.loc[frame["label"] == 2, "silhouette"] = np.nan
    six = recall_by_separability(frame).set_index("dataset").loc["six"]
    assert six["classes"] == 4
    assert six["tail"] == 3


def test_classes_of_one_size_have_no_correlation_with_it_and_no_tail() -> None:
    frame = on_test()
    six = recall_by_separability(frame.assign(n_train=20)).set_index("dataset").loc["six"]
    assert six["silhouette_rho"] == pytest.approx(1)
    assert six["slope"] == pytest.approx(0.2)
    assert six.filter(like="size_rho").isna().all()
    assert np.isnan(six["silhouette_given_size_rho"])
    assert np.isnan(six["tail"])
    # Two of them have fewer, the others are called head, middle or tail by chance.
    fewer = frame.assign(n_train=np.where(frame["label"] > 3, 5, 20))
    assert np.isnan(recall_by_separability(fewer).set_index("dataset").loc["six", "tail"])


def some_classes(rng: np.random.Generator, number: int, slope: float) -> pd.DataFrame:
    """Classes whose recall goes with size, and with the silhouette that goes with size, too."""
    size = 10 ** rng.uniform(1, 3, number)
    silhouette = rng.normal(0, 0.1, number) - 0.05 * np.log10(size)
    recall = 0.3 * np.log10(size) + slope / 0.1 * silhouette + rng.normal(0, 0.15, number)
    return pd.DataFrame({"n_train": size, "silhouette": silhouette, "recall": recall})


def test_a_slope_is_that_of_a_regression_with_size_in_it() -> None:
    classes = some_classes(np.random.default_rng(0), 20, 0.05)
    columns = np.column_stack([classes["silhouette"] / 0.1, np.log2(classes["n_train"])])
    wanted = sm.OLS(classes["recall"], sm.add_constant(columns)).fit()
    found = class_slope(classes)
    assert found is not None
    assert found.mean == pytest.approx(wanted.params.iloc[1])
    assert found.error == pytest.approx(wanted.bse.iloc[1])
    assert found.freedom == wanted.df_resid == 17

    # Sizes that hardly differ are not in it.
    even = classes.assign(n_train=30 + np.arange(20) % 3)
    wanted = sm.OLS(even["recall"], sm.add_constant(columns[:, :1])).fit()
    found = class_slope(even)
    assert found is not None
    assert found.mean == pytest.approx(wanted.params.iloc[1])
    assert found.freedom == 18


def test_no_slope_of_few_classes_or_of_one_silhouette() -> None:
    classes = some_classes(np.random.default_rng(0), 6, 0.05)
    assert class_slope(classes) is not None
    assert class_slope(classes.head(5)) is None
    assert class_slope(classes.assign(silhouette=0.1)) is None
    exact = class_slope(classes.assign(recall=1.0))
    assert exact is not None
    assert exact.mean == pytest.approx(0, abs=1e-9)
    assert exact.error > 0


@pytest.mark.parametrize("between", [0.0, 0.05])
def test_the_interval_over_data_sets_holds_the_mean_slope(between: float) -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):
        effects = []
        for number in (8, 10, 12, 40, 150):
            one = class_slope(some_classes(rng, number, rng.normal(0.0, between)))
            assert one is not None
            effects.append(one)
        found = hierarchical(effects, between=BETWEEN)
        held.append(found.low < 0 < found.high)
    # The prior expects data sets to differ: where none do, it errs to the safe side.
    assert 0.92 <= np.mean(held) <= (1 if between == 0 else 0.99)


def test_of_hundreds_of_classes_the_posterior_is_that_of_a_normal_error() -> None:
    rng = np.random.default_rng(2)
    found = [class_slope(some_classes(rng, 500, 0.05)) for _ in range(6)]
    effects = [one for one in found if one is not None]
    mean = np.mean([one.mean for one in effects])
    assert hierarchical(effects, between=0.001).mean == pytest.approx(mean, abs=0.002)


def test_rows_over_data_sets_follow_those_of_each() -> None:
    frame = pd.concat([on_test(), on_test().query("dataset == 'six'").assign(dataset="other")])
    found = recall_by_separability(frame)
    assert sorted(found["dataset"][:-1]) == ["other", "six", "two"]
    assert found["dataset"].iloc[-1] == "all"
    assert found.iloc[-1]["split"] == "cv"
    assert found.iloc[-1]["slope"] == pytest.approx(0.2, abs=0.005)
    assert not {"nan", "None"} & set(_printed(found).iloc[-1])


def test_the_table_and_the_figure_say_it(tmp_path: Path) -> None:
    write_parquet(tmp_path / "class_metrics.parquet", class_metrics())
    tabulate(tmp_path, CATALOGUE.table("separability"), tmp_path / "out")
    lines = (tmp_path / "out.md").read_text().splitlines()
    six, two = (next(ln for ln in lines if ln.startswith(f"| {name}")) for name in ("six", "two"))
    assert "+20.0 [+20.0, +20.0]" in six
    assert "166 to 1000" in six
    assert "2 of 3" in six
    assert "n/a" in two
    plot("separability", {"classes": [tmp_path / "class_metrics.parquet"]}, tmp_path / "figure")
    drawn = (tmp_path / "figure.svg").read_text()
    assert "six cv, 2 splits class_distance" in drawn
    assert "two cv" not in drawn


def test_without_finished_runs_there_is_a_table_without_rows(tmp_path: Path) -> None:
    write_parquet(tmp_path / "class_metrics.parquet", class_metrics()[["dataset"]].head(0))
    tabulate(tmp_path, CATALOGUE.table("separability"), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out.csv").empty
    assert "Easy tail classes" in (tmp_path / "out.md").read_text()
    plot("separability", {"classes": [tmp_path / "class_metrics.parquet"]}, tmp_path / "figure")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_without_silhouettes_are_refused(tmp_path: Path) -> None:
    bare = class_metrics().drop(columns=["silhouette", "nearest_silhouette"])
    path = tmp_path / "class_metrics.parquet"
    write_parquet(path, bare)
    with pytest.raises(DrugtailError, match="has no silhouettes; name a table of kind"):
        tabulate(tmp_path, CATALOGUE.table("separability"), tmp_path / "out")
    with pytest.raises(DrugtailError, match=r"class_metrics\.parquet: has no silhouettes"):
        plot("separability", {"classes": [path]}, tmp_path / "figure")
