"""Means of metrics over splits, or of their differences to a reference method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.settings import tuned_name
from drugtail.evaluation.statistics import (
    ROW,
    SIZES,
    by_split,
    kind_of,
    mean_interval,
    named_splits,
)
from drugtail.report.table_notes import left_out_notes, notes_on_runs
from drugtail.report.table_rows import (
    CONSTANT,
    CONSTANT_NOTE,
    GAP,
    UNDEFINED,
    WEIGHTS,
    runs_of,
    weights_constant,
    with_settings,
)
from drugtail.report.tables import TABLE_KINDS, Contents, column_of

COUNTS = ["splits", "runs", "expected", "diverged", "missing", "unpaired"]
INTERVAL_NOTE = (
    "± is half the 95 % interval of the mean over splits, which holds for splits that were not "
    "drawn (corrected resampled t; Nadeau, Bengio, 2003). Training seeds of a split are averaged "
    "first."
)
ONE_SPLIT_NOTE = (
    "A row of a single split has no interval: how its seeds vary says nothing of other splits."
)


@TABLE_KINDS.register("metrics")
def metrics_table(metrics: Path, table: Table, reference: str) -> Contents:
    """Means of metrics over splits, or of their differences to a reference method."""
    frame, columns = runs_of(metrics, table)
    on_runs = notes_on_runs(metrics, frame)
    sizes = [name for name in SIZES if name in frame]
    frame = frame[[*ROW, "seed", "status", *WEIGHTS, *sizes, *columns]]
    if table.difference:
        frame = paired_difference(frame, columns, tuned_name(frame, reference))
    summary = with_settings(summarise(frame, columns), "method", frame)
    if table.order is not None:
        first = next(column for column in table.columns if column.metric == table.order)
        summary = _best_first(summary, f"{column_of(table, first)}_mean")
    notes = [*_notes(summary, table), *left_out_notes(metrics, table), *on_runs]
    return Contents(summary, _printed(summary, table), notes)


def _best_first(summary: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of a data set and split by falling values of a column; those without one at the end."""
    groups = [
        group.sort_values(column, ascending=False, kind="stable")
        for _, group in summary.groupby(["dataset", "split"], sort=False)
    ]
    return pd.concat(groups, ignore_index=True) if groups else summary


def summarise(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean of `columns` over the splits of each kind, with its interval.

    Returns
    -------
    pandas.DataFrame
        One row per data set, kind of split, encoder and method: `ROW` (``split`` as `named_splits`
        says it), ``splits`` (with a finished run), ``runs`` (finished), ``expected`` (all),
        ``diverged``, ``missing``, ``unpaired`` and, per column, ``{column}_mean``,
        ``{column}_low`` and ``{column}_high`` (see `mean_interval`); rows in the order in which
        they first appear. ``weights_constant``: the method weighs by class distances, and all
        weights were 1 throughout, as they are with two classes.
    """
    rows = []
    kinds = frame["split"].map(kind_of)
    for key, group in frame.groupby(["dataset", kinds, "encoder", "method"], sort=False):
        finished = group[group["status"] == "finished"]
        means = by_split(finished, columns)
        row = dict(zip(ROW, key, strict=True)) | {
            "split": named_splits(group["split"]),
            "splits": len(means),
            "runs": len(finished),
            "expected": len(group),
            "diverged": int((group["status"] == "diverged").sum()),
            "missing": int((group["status"] == "missing").sum()),
            "unpaired": int((group["status"] == "unpaired").sum()),
            "weights_constant": weights_constant(finished),
        }
        for column in columns:
            known = means.dropna(subset=column)
            values = known[column].to_numpy(dtype=float)
            row[f"{column}_mean"] = values.mean() if len(values) else np.nan
            ends = mean_interval(values, known["ratio"].mean())
            row[f"{column}_low"], row[f"{column}_high"] = ends
        rows.append(row)
    named = [f"{column}_{kind}" for column in columns for kind in ("mean", "low", "high")]
    # Named for the case that there is no row: of differences, with the reference method alone.
    return pd.DataFrame(rows, columns=[*ROW, *COUNTS, "weights_constant", *named])


def paired_difference(frame: pd.DataFrame, columns: list[str], reference: str) -> pd.DataFrame:
    """Subtract the reference method's metrics of the same data set, split and seed.

    The reference's own rows go. A run whose partner did not finish is ``unpaired``.
    """
    finished = frame["status"] == "finished"
    pair = ["dataset", "split", "seed"]
    base = frame[finished & (frame["method"] == reference)][pair + columns]
    if base.duplicated(pair).any():
        # Several encoders: compare within each; only methods of that encoder have a partner.
        pair = ["dataset", "split", "encoder", "seed"]
        base = frame[finished & (frame["method"] == reference)][pair + columns]
    others = frame[frame["method"] != reference]
    joined = others.merge(
        base, on=pair, how="left", suffixes=("", "_reference"), indicator="_partner"
    )
    alone = (joined["status"] == "finished") & (joined["_partner"] == "left_only")
    joined.loc[alone, "status"] = "unpaired"
    for column in columns:
        joined[column] = joined[column] - joined[f"{column}_reference"]
    return joined[list(frame.columns)]


def _printed(summary: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Cells as text."""
    printed = pd.DataFrame(
        {
            "Data set": summary["dataset"],
            "Split": summary["split"],
            "Method": summary["method"] + np.where(summary["weights_constant"], f" {CONSTANT}", ""),
        }
    )
    if "settings" in summary:
        printed["Settings"] = summary["settings"]
    if summary["encoder"].nunique() > 1:
        printed["Encoder"] = summary["encoder"]
    printed["Runs"] = [
        str(n) if n == of else f"{n} of {of}"
        for n, of in zip(summary["runs"], summary["expected"], strict=True)
    ]
    for column in table.columns:
        name = column_of(table, column)
        half = (summary[f"{name}_high"] - summary[f"{name}_low"]) / 2
        cells = zip(summary["runs"], summary[f"{name}_mean"], half, strict=True)
        sign = "+" if table.difference else ""
        printed[column.title] = [
            _cell(n, mean * column.scale, half * column.scale, column.digits, sign)
            for n, mean, half in cells
        ]
    return printed


def _cell(runs: int, mean: float, half: float, digits: int, sign: str) -> str:
    if np.isnan(mean):
        return UNDEFINED if runs else GAP
    text = f"{mean:{sign}.{digits}f}"
    return text if np.isnan(half) else f"{text} ± {half:.{digits}f}"


def _notes(summary: pd.DataFrame, table: Table) -> list[str]:
    """What a reader of the table has to know."""
    notes = ["Differences are paired by split and seed."] if table.difference else []
    if (summary["splits"] > 1).any():
        notes.append(INTERVAL_NOTE)
    if (summary["splits"] == 1).any():
        notes.append(ONE_SPLIT_NOTE)
    if table.difference and summary.empty:
        notes.append("There is no method beside the reference.")
    gaps = summary[summary["runs"] < summary["expected"]]
    if len(gaps):
        notes.append(
            f"Gaps: {int(gaps['diverged'].sum())} runs diverged and {int(gaps['missing'].sum())} "
            f"are missing; {GAP} marks a row without any finished run. Nothing is imputed."
        )
    if summary["unpaired"].any():
        notes.append(
            f"{int(summary['unpaired'].sum())} runs have no partner: the reference's run did not "
            "finish."
        )
    if summary["weights_constant"].any():
        notes.append(CONSTANT_NOTE)
    names = [f"{column_of(table, column)}_mean" for column in table.columns]
    finished = summary[summary["runs"] > 0]
    if finished[names].isna().to_numpy().any():
        notes.append(f"{UNDEFINED}: not defined there, for example a group without classes.")
    return notes
