"""Paired tests, intervals and rank correlations against SciPy and by hand."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drugtail.config.catalogue import Catalogue
from drugtail.evaluation.identifiability import identifiability
from drugtail.evaluation.statistics import (
    RESAMPLES,
    compare_methods,
    holm,
    mean_interval,
    p_value,
    rank_correlation,
)
from drugtail.report.figures.identifiability import spaced
from drugtail.report.plot import plot
from drugtail.report.tables import tabulate
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import write_parquet

CATALOGUE = Catalogue(Path(__file__).resolve().parents[2] / "config")
METRICS = ("balanced_accuracy", "balanced_accuracy_head", "balanced_accuracy_tail")


def test_holm_multiplies_by_the_number_of_larger_ones_and_stays_monotone() -> None:
    found = holm(np.array([0.04, 0.01, np.nan, 0.03, 0.9]))
    assert found[[0, 1, 3, 4]].tolist() == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert np.isnan(found[2])


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_holm_never_lowers_a_p_value_nor_their_order(p: list[float]) -> None:
    found = holm(np.array(p))
    assert (found >= np.array(p) - 1e-15).all()
    assert (found <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_signed_rank_is_that_of_scipy_and_says_nothing_of_no_difference() -> None:
    values = np.array([0.1, -0.02, 0.3, 0.05, 0.2, 0.11])
    assert p_value("signed_rank", pd.Series(values)) == stats.wilcoxon(values).pvalue
    assert p_value("signed_rank", pd.Series(np.zeros(5))) == 1
    assert np.isnan(p_value("signed_rank", pd.Series(np.empty(0))))
    with pytest.raises(DrugtailError, match="test 'sign' is unknown; there are signed_rank"):
        p_value("sign", pd.Series(values))


def test_an_interval_of_one_stratum_is_students() -> None:
    values = np.random.default_rng(1).normal(2.0, 0.5, size=4)
    wanted = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert mean_interval([values]) == pytest.approx(tuple(wanted))
    assert np.isnan(mean_interval([values, np.array([1.0])])).all()
    assert np.isnan(mean_interval([])).all()
    assert mean_interval([np.full(3, 0.25)]) == (0.25, 0.25)


def test_an_interval_of_two_strata_of_one_size_is_welchs() -> None:
    """The mean of a and b is half the difference between a and -b."""
    generator = np.random.default_rng(2)
    a, b = generator.normal(1, 0.1, size=5), generator.normal(-3, 1.0, size=5)
    wanted = stats.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)
    assert mean_interval([a, b]) == pytest.approx((wanted.low / 2, wanted.high / 2))


@pytest.mark.parametrize(("strata", "seeds"), [(1, 3), (1, 5), (3, 3), (3, 5)])
def test_an_interval_of_a_few_seeds_holds_the_mean_in_95_of_100_cases(
    strata: int, seeds: int
) -> None:
    generator = np.random.default_rng(strata * 10 + seeds)
    held = 0
    for _ in range(2000):
        low, high = mean_interval(list(generator.normal(size=(strata, seeds))))
        held += low <= 0 <= high
    assert 0.935 < held / 2000 < 0.985


def test_an_interval_does_not_widen_because_data_sets_differ() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, size=(2, 50))
    low, high = mean_interval([noise[0] - 5, noise[1] + 5])
    assert high - low == pytest.approx(2 * 1.96 * noise.std() / np.sqrt(100), rel=0.15)


def test_recall_of_two_encoders_is_drawn_apart(tmp_path: Path) -> None:
    rows = [
        {"dataset": "a", "split": "random-0", "encoder": encoder, "method": "plain", "seed": seed,
         "subset": "test", "label": label, "label_name": str(label), "n_train": 100 // (label + 1),
         "group": "head", "recall": recall}
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
         "seed": seed, "subset": "test", "label": label, "label_name": str(label),
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


def paired_runs() -> pd.DataFrame:
    rows = []
    for dataset in ("a", "b"):
        for seed in range(5):
            for method, gain in (("plain", 0.0), ("ours", 0.05), ("same", 0.0)):
                noise = 0.1 * seed + (0.3 if dataset == "b" else 0)
                extra = 0.001 * seed if method == "ours" else 0
                row = {"dataset": dataset, "split": "random-0", "encoder": "gcn",
                       "method": method, "seed": seed, "status": "finished"}  # fmt: skip
                rows.append(row | {f"test_{m}": noise + gain + extra for m in METRICS})
    return pd.DataFrame(rows)


def test_methods_are_compared_pair_by_pair() -> None:
    found = compare_methods(paired_runs(), "ours", ["test_balanced_accuracy"]).set_index("against")
    assert found["pairs"].tolist() == [10, 10]
    row = found.loc["plain"]
    assert row["difference"] == pytest.approx(0.052)
    assert 0.05 <= row["low"] <= row["difference"] <= row["high"] <= 0.054
    assert (row["wins"], row["losses"]) == (10, 0)
    assert row["p"] < 0.01
    assert row["p_holm"] == pytest.approx(2 * row["p"])


def test_a_comparison_shows_the_data_set_that_loses() -> None:
    runs = paired_runs()
    ours_on_b = (runs["method"] == "ours") & (runs["dataset"] == "b")
    runs.loc[ours_on_b, "test_balanced_accuracy"] -= 0.07
    found = compare_methods(runs, "ours", ["test_balanced_accuracy"]).set_index("against")
    assert found.loc["plain", "on_a"] == pytest.approx(0.052)
    assert found.loc["plain", "on_b"] == pytest.approx(-0.018)
    assert (found.loc["plain", "wins"], found.loc["plain", "losses"]) == (5, 5)


def test_a_method_on_two_encoders_is_compared_within_each() -> None:
    runs = paired_runs()
    other = runs[runs["method"] != "same"].assign(encoder="other")
    other.loc[other["method"] == "ours", "test_balanced_accuracy"] -= 0.2
    both = pd.concat([runs, other], ignore_index=True)
    found = compare_methods(both, "ours", ["test_balanced_accuracy"]).set_index("against")
    assert (found.loc["plain", "pairs"], found.loc["same", "pairs"]) == (20, 10)
    assert found.loc["plain", "difference"] == pytest.approx(0.052 - 0.1)


def test_a_run_without_partner_is_no_pair() -> None:
    runs = paired_runs()
    short = runs[~((runs["method"] == "plain") & (runs["seed"] == 0))]
    found = compare_methods(short, "ours", ["test_balanced_accuracy"]).set_index("against")
    assert found["pairs"].to_dict() == {"plain": 8, "same": 10}


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


def test_rank_correlation_is_spearmans_and_its_interval_holds_it() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(3, 12))
    y = x + 0.7 * generator.normal(size=(3, 12))
    found, low, high = rank_correlation(x, y)
    wanted = np.mean([stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)])
    assert found == pytest.approx(wanted)
    assert -1 <= low < found < high <= 1
    assert np.isnan(rank_correlation(x[:, :3], y[:, :3])).all()


@pytest.mark.parametrize("distinct", [3, 1000])
def test_the_interval_is_that_of_spearmans_in_classes_drawn_anew(distinct: int) -> None:
    generator = np.random.default_rng(4)
    x, y = generator.integers(distinct, size=(2, 1, 9)).astype(float)
    drawn = np.random.default_rng(0).integers(9, size=(RESAMPLES, 9))
    with np.errstate(invalid="ignore"):
        each = [np.corrcoef(*stats.rankdata([x[0, d], y[0, d]], axis=1))[0, 1] for d in drawn]
    wanted = np.nanquantile(each, [0.025, 0.975])
    assert rank_correlation(x, y)[1:] == pytest.approx(wanted)


def test_partial_rank_correlation_is_that_of_what_a_line_through_the_ranks_leaves() -> None:
    generator = np.random.default_rng(2)
    z = generator.normal(size=(3, 12))
    x, y = z + generator.normal(size=(3, 12)), z + generator.normal(size=(3, 12))
    wanted = []
    for rows in zip(x, y, z, strict=True):
        a, b, c = (stats.rankdata(row) for row in rows)
        line = np.stack([np.ones(12), c], axis=1)
        left = [v - line @ np.linalg.lstsq(line, v)[0] for v in (a, b)]
        wanted.append(np.corrcoef(*left)[0, 1])
    found, low, high = rank_correlation(x, y, z)
    assert found == pytest.approx(np.mean(wanted))
    assert -1 <= low < found < high <= 1
    assert found < rank_correlation(x, y)[0], "both follow z"
    assert np.isnan(rank_correlation(x, z, z)).all(), "z leaves nothing of itself"


def test_a_seed_whose_classes_are_all_alike_says_nothing_and_hides_nothing() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 2, 12))
    alone = rank_correlation(x[:1], y[:1])
    y[1] = 0.5
    assert rank_correlation(x, y) == pytest.approx(alone)
    assert np.isnan(rank_correlation(x[1:], y[1:])).all()


def class_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Six classes whose recall follows separability and not size; and two classes elsewhere."""
    key = {"split": "random-0", "encoder": "gcn", "method": "class_distance"}
    recall = [0.2, 0.9, 0.4, 0.3, 0.95, 0.6]
    classes, history = [], []
    for dataset, number in (("six", 6), ("two", 2)):
        for seed in range(2):
            for label in range(number):
                run = {**key, "dataset": dataset, "seed": seed, "label": label}
                group = "head" if label < number // 2 else "tail"
                classes += [
                    run | {"subset": part, "label_name": f"c{label}", "group": group,
                           "n_train": 1000 // (label + 1), "recall": recall[label]}
                    for part in ("valid", "test")
                ]  # fmt: skip
                measured = {
                    "separability": recall[label] - 0.5,
                    "valid_separability": recall[label],
                }
                history.append(run | {"moment": "chosen", **measured})
                history.append(run | {"moment": "refresh", "separability": 0.0,
                                      "valid_separability": 0.0})  # fmt: skip
    return pd.DataFrame(classes), pd.DataFrame(history)


def test_a_class_without_test_molecules_is_left_out() -> None:
    classes, history = class_tables()
    classes.loc[(classes["label"] == 1) & (classes["subset"] == "test"), "recall"] = np.nan
    six = identifiability(classes, history).set_index("dataset").loc["six"]
    assert six["classes"] == 5
    assert six["separability_rho"] == pytest.approx(1)
    assert six["tail"] == 3


def test_without_finished_runs_there_is_a_table_without_rows(tmp_path: Path) -> None:
    classes, history = class_tables()
    write_parquet(tmp_path / "class_metrics.parquet", classes[["dataset", "seed"]].head(0))
    write_parquet(tmp_path / "class_history.parquet", history[["dataset", "seed"]].head(0))
    tabulate(tmp_path, CATALOGUE.table("identifiability"), tmp_path / "out")
    assert pd.read_csv(tmp_path / "out.csv").empty
    assert "Easy tail classes" in (tmp_path / "out.md").read_text()
    plot(
        "identifiability",
        {
            "classes": [tmp_path / "class_metrics.parquet"],
            "history": [tmp_path / "class_history.parquet"],
        },
        tmp_path / "figure",
    )
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_identifiability_correlates_recall_with_size_and_with_separability(tmp_path: Path) -> None:
    classes, history = class_tables()
    found = identifiability(classes, history).set_index("dataset")
    six = found.loc["six"]
    assert six["separability_rho"] == pytest.approx(1)
    assert six["valid_separability_rho"] == pytest.approx(1)
    sizes = [1000 // (c + 1) for c in range(6)]
    wanted = stats.spearmanr(sizes, [0.2, 0.9, 0.4, 0.3, 0.95, 0.6]).statistic
    assert six["n_train_rho"] == pytest.approx(wanted)
    # Mean recall is 0.558; the tail classes have 0.3, 0.95 and 0.6.
    assert (six["easy_tail"], six["tail"]) == (2, 3)
    assert np.isnan(found.loc["two", "n_train_rho"])

    write_parquet(tmp_path / "class_metrics.parquet", classes)
    write_parquet(tmp_path / "class_history.parquet", history)
    tabulate(tmp_path, CATALOGUE.table("identifiability"), tmp_path / "out")
    text = (tmp_path / "out.md").read_text()
    assert "2 of 3" in text
    assert "n/a" in next(line for line in text.splitlines() if line.startswith("| two"))
    plot(
        "identifiability",
        {
            "classes": [tmp_path / "class_metrics.parquet"],
            "history": [tmp_path / "class_history.parquet"],
        },
        tmp_path / "figure",
    )
    # The svg draws text as shapes and names it in comments; "two" has too few classes.
    drawn = (tmp_path / "figure.svg").read_text()
    assert "six random-0 gcn class_distance" in drawn
    assert "rank correlation +1.00 [+1.00, +1.00]" in drawn
    assert "two random-0" not in drawn


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_names_beside_a_figure_do_not_hide_each_other(values: list[float]) -> None:
    falling = np.sort(values)[::-1]
    gap = min(0.05, 1.1 / max(len(values) - 1, 1))
    found = spaced(falling, -0.05, 1.05, gap=0.05)
    assert (-np.diff(found) > gap - 1e-9).all()
    assert found.min() > -0.05 - 1e-9
    assert found.max() < 1.05 + 1e-9
    if (-np.diff(falling) > gap).all():
        assert found.tolist() == pytest.approx(falling.tolist()), "nothing has to move"


def test_recall_of_many_methods_is_a_map_with_a_row_each_the_best_first(tmp_path: Path) -> None:
    """Of eleven methods and three classes, method i recalls class c in (i + 10 c) percent."""
    rows = [
        {
            "dataset": "d", "split": "random-0", "encoder": "gcn", "method": f"m{i}", "seed": seed,
            "subset": "test", "label": c, "label_name": f"class {c}", "n_train": n, "group": group,
            "recall": (i + 10 * c + 2 * seed - 1) / 100,
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
