"""Tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from drugtail.config.table import Table, TableColumn
from drugtail.report.means import summarise
from drugtail.report.table_kinds.metrics import paired_difference
from drugtail.report.tables import tabulate
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import write_parquet

METRIC = "test_balanced_accuracy"


def run(
    method: str, split: int, value: float | None, status: str = "finished", **more: Any
) -> dict:
    return {"dataset": "mesh_drug_class", "split": f"random-{split}", "encoder": "gcn",
            "method": method, "seed": 0, "status": status, METRIC: value, **more}  # fmt: skip


def half(values: Sequence[float]) -> float:
    """Half the corrected 95 % interval over splits of which a fifth is tested, 7 tenths trained."""
    error = np.std(values, ddof=1) * np.sqrt(1 / len(values) + 20 / 70)
    return float(stats.t.ppf(0.975, len(values) - 1) * error)


def table(*metrics: str, difference: bool = False, **changes: Any) -> Table:
    columns = [{"metric": m, "title": m.replace("_", " ")} for m in metrics]
    columns = columns or [{"metric": "balanced_accuracy", "title": "Balanced accuracy"}]
    return Table.model_validate(
        {
            "name": "tiny",
            "title": "A table",
            "columns": columns,
            "difference": difference,
            **changes,
        }
    )


class Written:
    """The three forms of one table, cell by cell."""

    def __init__(self, folder: Path, rows: list[dict], definition: Table) -> None:
        write_parquet(folder / "runs.parquet", pd.DataFrame(rows))
        tabulate(folder, definition, folder / "tiny")
        self.csv = pd.read_csv(folder / "tiny.csv")
        self.md = (folder / "tiny.md").read_text(encoding="utf-8")
        self.tex = (folder / "tiny.tex").read_text(encoding="utf-8")
        lines = [line for line in self.md.splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        self.head, self.rows = cells[0], cells[2:]
        body = self.tex.split("\\midrule\n")[1].split("\\bottomrule")[0]
        self.tex_rows = [
            line.removesuffix(" \\\\").split(" & ") for line in body.strip().split("\n")
        ]


def test_mean_and_interval_are_over_splits(tmp_path: Path) -> None:
    values = [0.5, 0.7, 0.75]
    rows = [run("focal", split, value) for split, value in enumerate(values)]
    written = Written(tmp_path, rows, table())
    mean = sum(values) / 3
    assert written.csv[f"{METRIC}_mean"].tolist() == pytest.approx([mean])
    assert written.csv[f"{METRIC}_low"].tolist() == pytest.approx([mean - half(values)])
    assert written.csv[f"{METRIC}_high"].tolist() == pytest.approx([mean + half(values)])
    text = f"{100 * mean:.1f} ± {100 * half(values):.1f}"
    assert written.rows[0][1:] == ["random, 3 splits", "focal", "3", text]
    assert "± is half the 95 % interval of the mean over splits" in written.md


def test_seeds_of_one_split_give_no_interval(tmp_path: Path) -> None:
    rows = [{**run("focal", 0, value), "seed": seed} for seed, value in enumerate((0.5, 0.524))]
    written = Written(tmp_path, rows, table())
    assert written.rows[0][1:] == ["random-0", "focal", "2", "51.2"]
    assert written.csv[[f"{METRIC}_low", f"{METRIC}_high"]].isna().to_numpy().all()
    assert "±" not in written.md
    assert "A row of a single split has no interval" in written.md


def test_seeds_are_averaged_before_splits_are(tmp_path: Path) -> None:
    rows = [run("focal", 0, 0.4), run("focal", 1, 0.6), {**run("focal", 1, 0.8), "seed": 1}]
    written = Written(tmp_path, rows, table())
    assert written.csv[f"{METRIC}_mean"].tolist() == pytest.approx([0.55])
    assert written.rows[0][-1] == f"55.0 ± {100 * half([0.4, 0.7]):.1f}"


def test_kinds_of_splits_stand_in_rows_of_their_own(tmp_path: Path) -> None:
    rows = [run("focal", split, 0.4) for split in range(2)]
    rows += [{**row, "split": "official", METRIC: 0.7} for row in rows[:1]]
    written = Written(tmp_path, rows, table())
    assert [row[1::3] for row in written.rows] == [["random, 2 splits", "40.0 ± 0.0"],
                                                   ["official", "70.0"]]  # fmt: skip


def test_csv_markdown_and_tex_say_the_same(tmp_path: Path) -> None:
    rows = [
        run(method, seed, 0.1 * seed + offset, test_mcc=0.2 * seed - offset)
        for method, offset in (("cross_entropy", 0.3), ("class_distance", 0.45))
        for seed in range(3)
    ]
    written = Written(tmp_path, rows, table("balanced_accuracy", "mcc"))
    assert written.head == ["Data set", "Split", "Method", "Runs", "balanced accuracy", "mcc"]
    assert [row[2] for row in written.rows] == ["cross_entropy", "class_distance"]
    assert written.csv["method"].tolist() == ["cross_entropy", "class_distance"]
    for number, row in enumerate(written.rows):
        for name, cell in zip((METRIC, "test_mcc"), row[4:], strict=True):
            mean = 100 * written.csv[f"{name}_mean"][number]
            width = 100 * (written.csv[f"{name}_high"] - written.csv[f"{name}_low"])[number]
            assert cell == f"{mean:.1f} ± {width / 2:.1f}"
        # What all rows have is said below the table in LaTeX, and names are words there.
        cells = [re.sub(r"\\text(?:bf|it){(.*)}", r"\1", one) for one in written.tex_rows[number]]
        plain = [cell.replace("$\\pm$", "±").replace("$-$", "-") for cell in cells]
        assert plain == [row[2].replace("_", " "), *row[4:]]
    assert "Data set: mesh\\_drug\\_class. Split: random, 3 splits. Runs: 3." in written.tex


def test_scale_and_digits_are_those_of_the_table(tmp_path: Path) -> None:
    column = {"metric": "balanced_accuracy", "title": "BA", "scale": 1.0, "digits": 3}
    rows = [run("focal", 0, 0.5), run("focal", 1, 0.6)]
    written = Written(tmp_path, rows, table(columns=[column]))
    assert written.rows[0][-1] == f"0.550 ± {half([0.5, 0.6]):.3f}"


def test_gaps_are_marked_and_counted(tmp_path: Path) -> None:
    rows = [
        run("cross_entropy", 0, 0.5), run("cross_entropy", 1, None, "diverged"),
        run("cross_entropy", 2, 0.7),
        run("focal", 0, None, "missing"), run("focal", 1, None, "missing"),
    ]  # fmt: skip
    written = Written(tmp_path, rows, table())
    assert [row[2:] for row in written.rows] == [
        ["cross_entropy", "2 of 3", f"60.0 ± {100 * half([0.5, 0.7]):.1f}"],
        ["focal", "0 of 2", "—"],
    ]
    for text in (written.md, written.tex.replace("---", "—")):
        assert "1 runs diverged and 2 are missing" in text
    counts = written.csv[["runs", "expected", "diverged", "missing"]].to_numpy().tolist()
    assert counts == [[2, 3, 1, 0], [0, 2, 0, 2]]


def test_a_complete_table_speaks_of_no_gaps(tmp_path: Path) -> None:
    written = Written(tmp_path, [run("focal", 0, 0.5)], table())
    assert "Gaps" not in written.md
    assert "missing" not in written.md


def test_a_table_of_missing_runs_alone_is_all_gaps(tmp_path: Path) -> None:
    rows = [run("focal", seed, None, "missing") for seed in range(2)]
    for row in rows:
        del row[METRIC]
    written = Written(tmp_path, rows, table())
    assert written.rows == [["mesh_drug_class", "random, 2 splits", "focal", "0 of 2", "—"]]


def test_an_undefined_metric_is_no_gap(tmp_path: Path) -> None:
    rows = [run("focal", seed, 0.5, test_auroc_middle=float("nan")) for seed in range(2)]
    written = Written(tmp_path, rows, table("balanced_accuracy", "auroc_middle"))
    assert written.rows[0][-3:] == ["2", "50.0 ± 0.0", "n/a"]
    assert "n/a: not defined there" in written.md


def test_an_unknown_metric_is_named(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match="table tiny: metric 'balanced_acuracy' is unknown"):
        Written(tmp_path, [run("focal", 0, 0.5)], table("balanced_acuracy"))
    assert not (tmp_path / "tiny.csv").exists()


def test_rows_are_sorted_by_a_column_within_data_set_and_split_gaps_last(tmp_path: Path) -> None:
    scores = {"focal": 0.4, "ldam": 0.9, "mixup": None, "remix": 0.6}
    rows = [run(m, s, score, "missing" if score is None else "finished")
            for m, score in scores.items() for s in range(2)]  # fmt: skip
    rows += [{**row, "split": "standard-0"} for row in rows if row["method"] in ("focal", "ldam")]
    names = [row[1:3] for row in Written(tmp_path, rows, table(order="balanced_accuracy")).rows]
    assert names == [
        ["random, 2 splits", "ldam"], ["random, 2 splits", "remix"],
        ["random, 2 splits", "focal"], ["random, 2 splits", "mixup"],
        ["standard-0", "ldam"], ["standard-0", "focal"],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="order: name the metric of a column"):
        table(order="auroc")


def test_the_time_of_training_stands_in_a_table_as_it_is(tmp_path: Path) -> None:
    rows = [run("focal", seed, 0.5, seconds=60.0 + 4 * seed) for seed in range(3)]
    columns = [{"metric": "seconds", "title": "Seconds", "scale": 1.0, "digits": 0}]
    one = Table.model_validate({"name": "tiny", "title": "Tiny", "columns": columns})
    assert Written(tmp_path, rows, one).rows[0][-1] == f"64 ± {half([60, 64, 68]):.0f}"


def test_validation_tables_read_validation_metrics(tmp_path: Path) -> None:
    rows = [run("focal", 0, 0.5, valid_balanced_accuracy=0.25)]
    assert Written(tmp_path, rows, table(subset="valid")).rows[0][-1] == "25.0"


def test_encoders_get_a_column_where_they_differ(tmp_path: Path) -> None:
    rows = [run("focal", 0, 0.5), {**run("random_forest", 0, 0.6), "encoder": "morgan"}]
    written = Written(tmp_path, rows, table())
    assert "Encoder" in written.head
    assert [row[3] for row in written.rows] == ["gcn", "morgan"]


def test_differences_are_paired_by_split(tmp_path: Path) -> None:
    reference = {0: 0.50, 1: 0.60, 2: 0.90}
    focal = {0: 0.55, 1: 0.62, 2: 0.80}
    rows = [run("focal", s, v) for s, v in focal.items()]
    rows += [run("cross_entropy", s, v) for s, v in reversed(reference.items())]
    written = Written(tmp_path, rows, table(difference=True))
    changes = np.array([focal[s] - reference[s] for s in range(3)])
    assert written.csv["method"].tolist() == ["focal"]
    assert written.csv[f"{METRIC}_mean"][0] == pytest.approx(changes.mean())
    assert written.rows[0][-1] == f"{100 * changes.mean():.1f} ± {100 * half(changes):.1f}"


def test_an_improvement_is_printed_with_its_sign(tmp_path: Path) -> None:
    rows = [run("focal", 0, 0.55), run("cross_entropy", 0, 0.5)]
    written = Written(tmp_path, rows, table(difference=True))
    assert written.rows[0][-1] == "+5.0"


@pytest.mark.parametrize(
    ("definition", "column"),
    [
        ({"difference": True}, f"{METRIC}_mean"),
        ({"difference": True, "order": "balanced_accuracy"}, f"{METRIC}_mean"),
        ({"kind": "comparison", "method": "cross_entropy"}, "p_holm"),
    ],
)
def test_with_nothing_to_compare_a_table_has_no_rows_and_says_why(
    tmp_path: Path, definition: dict[str, Any], column: str
) -> None:
    rows = [run("cross_entropy", seed, 0.5) for seed in range(3)]
    written = Written(tmp_path, rows, table(**definition))
    assert written.rows == []
    assert len(written.head) > 3
    assert written.csv.empty
    assert column in written.csv
    assert "no method beside" in written.md


def test_differences_keep_data_sets_and_splits_apart() -> None:
    rows = [
        {**run(method, 0, value), "dataset": dataset, "split": split}
        for dataset, split, method, value in [
            ("hiv", "random-0", "cross_entropy", 0.1), ("hiv", "random-0", "focal", 0.3),
            ("hiv", "random-1", "cross_entropy", 0.5), ("hiv", "random-1", "focal", 0.4),
            ("mesh", "random-0", "cross_entropy", 0.9), ("mesh", "random-0", "focal", 0.9),
        ]
    ]  # fmt: skip
    found = paired_difference(pd.DataFrame(rows), [METRIC], "cross_entropy")
    assert found[METRIC].tolist() == pytest.approx([0.2, -0.1, 0.0])


def test_a_run_without_a_finished_partner_has_no_difference(tmp_path: Path) -> None:
    rows = [
        run("cross_entropy", 0, 0.5), run("cross_entropy", 1, None, "diverged"),
        run("focal", 0, 0.6), run("focal", 1, 0.9),
    ]  # fmt: skip
    found = paired_difference(pd.DataFrame(rows), [METRIC], "cross_entropy")
    assert found[METRIC].tolist() == pytest.approx([0.1, float("nan")], nan_ok=True)
    written = Written(tmp_path, rows, table(difference=True))
    assert written.csv[f"{METRIC}_mean"][0] == pytest.approx(0.1)


def test_a_lost_pair_is_not_counted_as_a_run(tmp_path: Path) -> None:
    rows = [
        run("cross_entropy", 0, 0.5), run("cross_entropy", 1, None, "diverged"),
        run("focal", 0, 0.6), run("focal", 1, 0.9),
    ]  # fmt: skip
    written = Written(tmp_path, rows, table(difference=True))
    assert written.rows[0][-2] == "1 of 2"


def test_differences_stay_within_an_encoder_where_the_reference_has_several() -> None:
    rows = [
        {**run(method, 0, value), "encoder": encoder}
        for encoder, method, value in [
            ("gcn", "cross_entropy", 0.5), ("gin", "cross_entropy", 0.7),
            ("gcn", "focal", 0.6), ("gin", "focal", 0.6),
        ]
    ]  # fmt: skip
    found = paired_difference(pd.DataFrame(rows), [METRIC], "cross_entropy")
    assert found[METRIC].tolist() == pytest.approx([0.1, -0.1])


def test_a_forest_on_fingerprints_is_compared_with_the_network() -> None:
    rows = [run("cross_entropy", 0, 0.5), {**run("random_forest", 0, 0.8), "encoder": "morgan"}]
    found = paired_difference(pd.DataFrame(rows), [METRIC], "cross_entropy")
    assert found[METRIC].tolist() == pytest.approx([0.3])


def test_rows_come_in_the_order_of_the_runs() -> None:
    rows = [run(method, 0, 0.5) for method in ("zeta", "alpha", "cross_entropy")]
    frame = pd.DataFrame(rows).assign(class_weights="uniform", weight_ratio=1.0)
    assert summarise(frame, [METRIC])["method"].tolist() == [
        "zeta", "alpha", "cross_entropy",
    ]  # fmt: skip


def unescaped(tex: str) -> str:
    return re.sub(r"\\[&%$#_{}]", "", tex)


def test_tex_escapes_what_tex_would_misread(tmp_path: Path) -> None:
    title = "50% of a_b & c#1 for 5$ in {x} ~ 10^3"
    column = {"metric": "balanced_accuracy", "title": "F_1 & 90% {#}"}
    rows = [run("a_b", 0, 0.5), run("c", 0, None, "missing")]
    written = Written(tmp_path, rows, table(title=title, columns=[column]))
    assert "\na b & " in written.tex
    assert "50\\% of a\\_b \\& c\\#1 for 5\\$ in \\{x\\}" in written.tex
    text = unescaped(written.tex.split("\n", 1)[1])
    assert text.count("{") == text.count("}")
    caption = text[text.index("\\caption") : text.index("\\label")]
    assert not set(caption) & set("%&#_")
    assert "10^3" not in caption
    assert " ~ " not in caption
    assert caption.count("$") % 2 == 0
    tabular = text[text.index("\\toprule") : text.index("\\bottomrule")]
    lines = [line for line in tabular.splitlines() if line.endswith("\\\\")]
    assert {line.count("&") for line in lines} == {2}


def test_a_pipe_does_not_break_markdown(tmp_path: Path) -> None:
    column = {"metric": "balanced_accuracy", "title": "a|b"}
    written = Written(tmp_path, [run("focal", 0, 0.5)], table(columns=[column]))
    rows = [line for line in written.md.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {6}


def test_a_method_whose_distances_gave_weights_of_one_throughout_is_marked(tmp_path: Path) -> None:
    rows = [
        run("class_distance", 0, 0.5, class_weights="class_distance", weight_ratio=1.0),
        run("class_distance", 1, 0.5, class_weights="class_distance", weight_ratio=1.0),
        run("moving", 0, 0.5, class_weights="class_distance", weight_ratio=1.2),
        run("no_reweighting", 0, 0.5, class_weights="uniform", weight_ratio=1.0),
    ]
    written = Written(tmp_path, rows, table())
    assert [row[2] for row in written.rows] == ["class_distance †", "moving", "no_reweighting"]
    assert "reweighting does nothing" in written.md
    assert "$\\dagger$" in written.tex
    other = tmp_path / "other"
    other.mkdir()
    assert "†" not in Written(other, rows[2:], table()).md


def test_a_column_on_new_parents_is_shown_where_it_says_something_else(tmp_path: Path) -> None:
    table = Table(
        name="t", title="T",
        columns=[
            TableColumn(metric="accuracy", title="All"),
            TableColumn(metric="accuracy", title="New", subset="test_new_parents"),
        ],
    )  # fmt: skip
    runs = pd.DataFrame(
        {
            "dataset": "a", "split": "random-0", "encoder": "gcn", "method": ["x", "y"], "seed": 0,
            "status": "finished", "settings": "default", "weights_constant": False,
            "test_accuracy": [0.5, 0.75], "test_new_parents_accuracy": [0.5, 0.25],
        }
    )  # fmt: skip

    def columns(frame: pd.DataFrame) -> list[str]:
        write_parquet(tmp_path / "runs.parquet", frame)
        tabulate(tmp_path, table, tmp_path / "t")
        return (tmp_path / "t.md").read_text().splitlines()[2].replace(" ", "").split("|")

    assert "New" in columns(runs)
    assert "25.0" in (tmp_path / "t.md").read_text()
    same = runs.assign(test_new_parents_accuracy=runs["test_accuracy"])
    assert "New" not in columns(same)
    assert "New" not in columns(runs.drop(columns="test_new_parents_accuracy"))
    assert "All" in columns(same)
