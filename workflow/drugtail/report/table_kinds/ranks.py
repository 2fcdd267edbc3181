"""Methods over all data sets: mean ranks, and what is gained on the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.across import Hierarchical, mean_ranks, over_data_sets
from drugtail.evaluation.bradley_terry import strengths
from drugtail.evaluation.metrics import smaller_is_better
from drugtail.evaluation.settings import tuned_name
from drugtail.evaluation.statistics import by_split
from drugtail.report.table_notes import left_out_notes, notes_on_runs
from drugtail.report.table_rows import UNDEFINED, runs_of, with_settings
from drugtail.report.tables import TABLE_KINDS, Contents, column_of

STRENGTH = ["strength", "strength_low", "strength_high"]
KEYS = ["split", "encoder", "method", "metric"]
COLUMNS = [
    *KEYS, "datasets", "rank", "rank_low", "rank_high", *STRENGTH, *Hierarchical._fields,
]  # fmt: skip
PRINTED = ["Method", "Data sets", "Rank", "Strength", "Difference", "Worse", "Equal", "Better"]
NOTE = (
    "Rank: mean over data sets of the rank among all rows of a kind of split. Strength (Bradley, "
    "Terry, 1952): 400 more mean odds of 10 to 1 to have the better figure on a data set; the mean "
    "of all is 1000. In brackets 95 % intervals over data sets (Student's t, of strengths by a "
    "jackknife). Difference to {reference}: mean over data sets of a hierarchical model, in "
    "brackets its 95 % credible interval; then the probability that a row is worse, equal (within "
    "one point) or better on a data set that is not among these. Kinds of splits are never pooled."
)


@TABLE_KINDS.register("ranks")
def ranks(metrics: Path, table: Table, reference: str) -> Contents:
    """Mean rank of each method over data sets, and its difference to the reference."""
    frame, columns = runs_of(metrics, table)
    finished = frame[frame["status"] == "finished"]
    base = tuned_name(finished, reference)
    means = by_split(finished, columns)
    rows: list[dict[str, Any]] = []
    left: list[str] = []
    for kind, group in means.groupby("kind", sort=False):
        for column in columns:
            ranked, without = _ranked(group, column, base)
            left += [f"{method} on {encoder} ({kind})" for method, encoder in without]
            rows += [row | {"split": kind, "metric": column} for row in ranked]
    found = with_settings(pd.DataFrame(rows, columns=COLUMNS), "method", frame)
    notes = [
        NOTE.format(reference=reference),
        *(
            [f"Not on every data set, so left out: {', '.join(dict.fromkeys(left))}."]
            if left
            else []
        ),
        *left_out_notes(metrics, table),
        *notes_on_runs(metrics, frame),
    ]
    return Contents(found, _printed(found, table), notes)


def _ranked(
    group: pd.DataFrame, column: str, reference: str
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Rows of one kind of split and metric, and the methods that not all data sets have."""
    row = ["method", "encoder"]
    wide = group.groupby(["dataset", *row], sort=False)[column].mean().unstack(row)
    whole = wide.dropna(axis=1)
    smaller = smaller_is_better(column)
    found = mean_ranks(whole, smaller_is_better=smaller)
    strong = strengths(whole, smaller_is_better=smaller)
    rows = []
    for one in found.to_dict("records"):
        method, encoder = one["method"]
        rows.append(
            {
                "method": method,
                "encoder": encoder,
                "datasets": len(whole),
                "rank": one["rank"],
                "rank_low": one["low"],
                "rank_high": one["high"],
                **strong.loc[one["method"]],
                **_against(group, method, encoder, reference, column),
            }
        )
    left = wide.columns[wide.isna().any()].to_frame(index=False)
    return rows, list(zip(left["method"], left["encoder"], strict=True))


def _against(
    group: pd.DataFrame, method: str, encoder: str, reference: str, column: str
) -> dict[str, float]:
    """Difference to the reference over data sets; nothing of itself, or of fewer than two."""
    if method == reference:
        return {}
    mine = group[(group["method"] == method) & (group["encoder"] == encoder)]
    theirs = group[group["method"] == reference]
    if (theirs["encoder"] == encoder).any():
        theirs = theirs[theirs["encoder"] == encoder]
    found = over_data_sets(pd.concat([mine, theirs]), method, reference, column)
    return {} if found is None else found._asdict()


def _printed(found: pd.DataFrame, table: Table) -> pd.DataFrame:
    shown = {column_of(table, column): column for column in table.columns}
    several = {
        name: found[name].nunique() > 1 for name in ("split", "encoder", "metric", "settings")
        if name in found
    }  # fmt: skip
    rows = []
    for row in found.to_dict("records"):
        column = shown[row["metric"]]
        named = {
            "split": ("Split", row["split"]), "metric": ("Metric", column.title),
            "encoder": ("Encoder", row["encoder"]), "settings": ("Settings", row.get("settings")),
        }  # fmt: skip
        cells = {"Method": row["method"]}
        cells |= {title: value for name, (title, value) in named.items() if several.get(name)}
        cells["Data sets"] = str(row["datasets"])
        for name, digits in (("rank", 1), ("strength", 0)):
            middle, *ends = (f"{row[f'{name}{end}']:.{digits}f}" for end in ("", "_low", "_high"))
            interval = "" if np.isnan(row[f"{name}_low"]) else f" [{', '.join(ends)}]"
            cells[name.capitalize()] = middle + interval
        mean, low, high = (
            f"{row[name] * column.scale:+.{column.digits}f}" for name in ("mean", "low", "high")
        )
        known = not np.isnan(row["mean"])
        cells["Difference"] = f"{mean} [{low}, {high}]" if known else UNDEFINED
        for name in ("worse", "equal", "better"):
            cells[name.capitalize()] = f"{row[name]:.2f}" if known else UNDEFINED
        rows.append(cells)
    # Named for the case that no run is finished.
    return pd.DataFrame(rows or None, columns=None if rows else PRINTED)
