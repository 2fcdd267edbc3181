"""Tables over data sets, and of single classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from collected_runs import paired_runs
from statsmodels.stats.proportion import proportion_confint

from drugtail.config.table import Table
from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import write_parquet


def ranks_of(folder: Path, runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    write_parquet(folder / "runs.parquet", runs)
    columns = [{"metric": "balanced_accuracy", "title": "BA"}]
    table = Table.model_validate({"name": "r", "title": "R", "kind": "ranks", "columns": columns})
    tabulate(folder, table, folder / "out", reference="plain")
    return pd.read_csv(folder / "out.csv"), (folder / "out.md").read_text()


def three_sets() -> pd.DataFrame:
    runs = paired_runs()
    third = runs[runs["dataset"] == "a"].assign(dataset="c")
    third.loc[third["method"] == "ours", "test_balanced_accuracy"] -= 0.03
    return pd.concat([runs, third], ignore_index=True)


def test_methods_are_ranked_over_data_sets_and_compared_with_the_reference(tmp_path: Path) -> None:
    found, text = ranks_of(tmp_path, three_sets())
    found = found.set_index("method")
    # Always first; the two others are equal and share ranks 2 and 3.
    assert found["rank"].to_dict() == {"ours": 1.0, "plain": 2.5, "same": 2.5}
    assert found["datasets"].tolist() == [3, 3, 3]
    assert found.loc["ours", "low"] < 0.042 < found.loc["ours", "high"]
    assert found.loc["ours", "better"] > 0.8
    assert found.loc["same", "equal"] > 0.3 > found.loc["same", "better"]
    assert np.isnan(found.loc["plain", "better"])
    line = next(x for x in text.splitlines() if x.startswith("| plain"))
    assert line.count("n/a") == 4


def test_a_method_that_a_data_set_lacks_is_named_and_not_ranked(tmp_path: Path) -> None:
    runs = three_sets()
    short = runs[~((runs["method"] == "same") & (runs["dataset"] == "b"))]
    found, text = ranks_of(tmp_path, short)
    assert set(found["method"]) == {"ours", "plain"}
    assert "Not on every data set, so left out: same on gcn (random)." in text


def test_kinds_of_splits_are_ranked_apart(tmp_path: Path) -> None:
    runs = three_sets()
    other = runs.assign(split=runs["split"].str.replace("random", "scaffold"))
    other.loc[other["method"] == "plain", "test_balanced_accuracy"] += 0.5
    found, _ = ranks_of(tmp_path, pd.concat([runs, other]))
    first = found[found["rank"] == 1].set_index("split")["method"].to_dict()
    assert first == {"random": "ours", "scaffold": "plain"}


def class_rows(split: str, seed: int, n: int, parents: int, recall: float, **more: object) -> dict:
    return {"dataset": "a", "split": split, "encoder": "gcn", "method": "focal", "seed": seed,
            "subset": "test", "label": 0, "label_name": "rare", "group": "tail", "n_train": 9,
            "n": n, "parents": parents, "recall": recall, **more}  # fmt: skip


def classes_of(folder: Path, rows: list[dict], **more: object) -> tuple[pd.DataFrame, str]:
    write_parquet(folder / "class_metrics.parquet", pd.DataFrame(rows))
    table = Table.model_validate({"name": "c", "title": "C", "kind": "classes", **more})
    tabulate(folder, table, folder / "out")
    return pd.read_csv(folder / "out.csv"), (folder / "out.md").read_text()


def test_repetitions_and_seeds_add_no_parents_to_a_class(tmp_path: Path) -> None:
    rows = [
        class_rows(f"cv-{repetition}-{fold}", seed, n=6, parents=4, recall=1 / 3 if fold else 1.0)
        for repetition in range(5)
        for fold in range(2)
        for seed in range(3)
    ]
    found, text = classes_of(tmp_path, rows)
    assert found["parents"].tolist() == [8]
    assert found["recall"].tolist() == pytest.approx([2 / 3])
    wanted = proportion_confint(2 / 3 * 8, 8, method="wilson")
    assert found[["low", "high"]].to_numpy()[0] == pytest.approx(wanted)
    assert "| cv, 10 splits | focal  | rare  | tail  | 9          | 8 " in text
    assert f"66.7 [{100 * wanted[0]:.1f}, {100 * wanted[1]:.1f}]" in text


def test_other_splits_may_test_the_same_parents(tmp_path: Path) -> None:
    rows = [class_rows(f"random-{i}", 0, n=4, parents=p, recall=0.5) for i, p in enumerate((3, 4))]
    assert classes_of(tmp_path, rows)[0]["parents"].tolist() == [4]


def test_wilsons_interval_holds_a_share_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(0)
    for n in (8, 22, 60):
        # Of a single share it is more or less, since counts are whole.
        share = rng.uniform(0.05, 0.95, size=4000)
        low, high = proportion_confint(rng.binomial(n, share), n, method="wilson")
        assert 0.935 <= np.mean((low <= share) & (share <= high)) <= 0.97


def test_a_table_of_classes_may_be_of_one_method_and_marks_what_was_not_tested(
    tmp_path: Path,
) -> None:
    rows = [
        class_rows("cv-0-0", 0, n=5, parents=5, recall=0.4),
        class_rows("cv-0-0", 0, n=5, parents=5, recall=0.8, method="other"),
        class_rows("cv-0-0", 0, n=0, parents=0, recall=np.nan, label=1, label_name="gone"),
    ]
    found, text = classes_of(tmp_path, rows, method="focal")
    assert found["method"].unique().tolist() == ["focal"]
    assert "n/a" in next(line for line in text.splitlines() if "gone" in line)
