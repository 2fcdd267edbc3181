"""Tables with data sets across, and figures of others beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from collected_runs import paired_runs
from pydantic import ValidationError

from drugtail.config.table import Table
from drugtail.report.tables import tabulate
from drugtail.runtime.parquet import write_parquet

COLUMNS = [
    {"metric": "balanced_accuracy", "title": "All"},
    {"metric": "balanced_accuracy_tail", "title": "Tail"},
]
SMITH = {
    "source": "Smith 2020", "dataset": "a", "split": "random", "metric": "balanced_accuracy",
    "values": {"plain": 71.9, "ours": [90.0, 2.5], "theirs": 60, "same": None},
    "differs": "other fingerprints.",
}  # fmt: skip


def table_of(quoted: list[dict[str, Any]]) -> Table:
    values = {"name": "t", "title": "T", "kind": "across", "columns": COLUMNS, "quoted": quoted}
    return Table.model_validate(values)


def made(folder: Path, quoted: list[dict[str, Any]], runs: pd.DataFrame | None = None) -> str:
    write_parquet(folder / "runs.parquet", paired_runs() if runs is None else runs)
    tabulate(folder, table_of(quoted), folder / "out", reference="plain")
    return (folder / "out.md").read_text()


def cells(text: str) -> dict[str, dict[str, str]]:
    """Method -> heading -> cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_methods_stand_down_and_data_sets_across(tmp_path: Path) -> None:
    found = cells(made(tmp_path, []))
    assert list(found) == ["plain", "ours", "same"]
    head = [f"{name} (random, 5 splits): {title}" for name in "ab" for title in ("All", "Tail")]
    assert list(found["plain"]) == head
    # Splits have 0, 10, ... 40 points more than nothing; b 30 more.
    assert found["plain"][head[0]].startswith("20.0 ± ")
    assert found["plain"][head[2]].startswith("50.0 ± ")
    values = pd.read_csv(tmp_path / "out.csv")
    assert len(values) == 3 * 2 * 2
    row = values[(values["method"] == "ours") & (values["dataset"] == "b")].iloc[0]
    assert row["mean"] == pytest.approx(0.552)
    assert row["low"] < row["mean"] < row["high"]


def test_figures_of_others_stand_beside_ours(tmp_path: Path) -> None:
    text = made(tmp_path, [SMITH])
    found = cells(text)
    head = "a (random, 5 splits): All, Smith 2020"
    quoted = {method: row[head] for method, row in found.items()}
    assert quoted == {
        "plain": "71.9", "ours": "90.0 ± 2.5", "same": "not available", "theirs": "60.0"
    }  # fmt: skip
    # Nothing was measured of what only others have.
    assert set(found["theirs"].values()) == {"60.0", "—"}
    assert "Smith 2020 on a: other fingerprints." in text
    values = pd.read_csv(tmp_path / "out.csv").set_index("source")
    theirs = values.loc[["Smith 2020"]].set_index("method")
    assert theirs.loc["ours", ["mean", "spread"]].tolist() == pytest.approx([0.9, 0.025])
    assert np.isnan(theirs.loc["same", "mean"])


def test_what_others_did_on_other_data_has_a_column_of_its_own(tmp_path: Path) -> None:
    found = cells(made(tmp_path, [SMITH | {"dataset": "c", "split": "standard"}]))
    assert found["plain"]["c (standard): All"] == "—"
    assert found["plain"]["c (standard): All, Smith 2020"] == "71.9"


@pytest.mark.parametrize(
    ("values", "named"),
    [({"plain": 50.0}, None), ({"plain": 20.1, "ours": 99.0}, "ours on a (All)")],
    ids=["within the interval", "far above it"],
)
def test_a_figure_that_is_worse_than_quoted_is_named(
    tmp_path: Path, values: dict[str, float], named: str | None
) -> None:
    text = made(tmp_path, [SMITH | {"values": values}])
    assert ("Worse than quoted" in text) == (named is not None)
    if named is not None:
        assert f"Worse than quoted by more than the interval: {named}." in text


def test_a_row_without_a_finished_run_is_a_gap(tmp_path: Path) -> None:
    runs = paired_runs()
    runs.loc[(runs["method"] == "same") & (runs["dataset"] == "b"), "status"] = "missing"
    found = cells(made(tmp_path, [], runs))
    assert found["same"]["b (random, 5 splits): All"] == "—"


def test_encoders_are_named_where_there_are_several(tmp_path: Path) -> None:
    runs = paired_runs()
    text = made(tmp_path, [], pd.concat([runs, runs.assign(encoder="mlp")]))
    lines = [line for line in text.splitlines() if line.startswith("| ours")]
    assert [line.split("|")[2].strip() for line in lines] == ["gcn", "mlp"]


def test_only_its_own_metrics_are_quoted() -> None:
    with pytest.raises(ValidationError, match="metric 'accuracy' is not that of a column"):
        table_of([SMITH | {"metric": "accuracy"}])
    with pytest.raises(ValidationError, match="a table of kind across may have it, no other"):
        Table.model_validate(
            {"name": "t", "title": "T", "columns": COLUMNS, "quoted": [SMITH]}
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["across", "pairs", "ranks"])
def test_differences_are_shown_by_tables_of_metrics_alone(kind: str) -> None:
    with pytest.raises(ValidationError, match="a table of kind metrics may show it, no other"):
        Table.model_validate(
            {"name": "t", "title": "T", "kind": kind, "columns": COLUMNS, "difference": True}
        )
