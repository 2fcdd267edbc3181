"""Means over splits, how they are printed, and what a reader must know of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.statistics import (
    ROW,
    by_split,
    kind_of,
    mean_interval,
    named_splits,
    on_splits,
)
from drugtail.report.table_rows import CONSTANT_NOTE, GAP, UNDEFINED, weights_constant
from drugtail.report.tables import column_of

COUNTS = ["splits", "runs", "expected", "diverged", "missing", "unpaired"]
INTERVAL_NOTE = (
    "± is half the 95 % interval of the mean over splits, which holds for splits that were not "
    "drawn (corrected resampled t; Nadeau, Bengio, 2003). Training seeds of a split are averaged "
    "first."
)
ONE_SPLIT_NOTE = (
    "A row of a single split has no interval: how its seeds vary says nothing of other splits."
)


def summarise(
    frame: pd.DataFrame, columns: list[str], *, differences: bool = False
) -> pd.DataFrame:
    """Mean of `columns` over the splits of each kind, with its interval.

    `differences` says that they are differences to a reference method (see `on_splits`).

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
    every = by_split(frame[frame["status"] == "finished"], columns)
    means_of = dict(list(every.groupby(["dataset", "kind", "encoder", "method"], sort=False)))
    for key, group in frame.groupby(["dataset", kinds, "encoder", "method"], sort=False):
        finished = group[group["status"] == "finished"]
        means = means_of.get(key, every[:0])
        undefined = means[columns].isna().any()
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
            known = means.dropna(subset=column) if undefined[column] else means
            values = on_splits(known, column, differences=differences)
            # The figures as they are: spread ones have another last digit of their mean.
            row[f"{column}_mean"] = known[column].mean()
            ends = mean_interval(values, known["ratio"].mean())
            row[f"{column}_low"], row[f"{column}_high"] = ends
        rows.append(row)
    named = [f"{column}_{kind}" for column in columns for kind in ("mean", "low", "high")]
    # Named for the case that there is no row: of differences, with the reference method alone.
    return pd.DataFrame(rows, columns=[*ROW, *COUNTS, "weights_constant", *named])


def cell(runs: int, mean: float, half: float, digits: int, sign: str = "") -> str:
    """Return a mean and half of its interval as a table prints them."""
    if np.isnan(mean):
        return UNDEFINED if runs else GAP
    text = f"{mean:{sign}.{digits}f}"
    return text if np.isnan(half) else f"{text} ± {half:.{digits}f}"


def notes_on_means(summary: pd.DataFrame, table: Table) -> list[str]:
    """Return what a reader of means has to know; `summary` is what `summarise` returned."""
    notes = ["Differences are paired by split and seed."] if table.difference else []
    if (summary["splits"] > 1).any():
        notes.append(INTERVAL_NOTE)
    if (summary["splits"] == 1).any():
        notes.append(ONE_SPLIT_NOTE)
    if table.difference and summary.empty:
        notes.append("There is no method beside the reference.")
    gaps = summary[summary["runs"] < summary["expected"]]
    if len(gaps):
        named = ", ".join(dict.fromkeys(gaps["method"]))
        notes.append(
            f"Gaps: {int(gaps['diverged'].sum())} runs diverged and {int(gaps['missing'].sum())} "
            f"are missing, of {named}; {GAP} marks a row without any finished run. Nothing is "
            "imputed."
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
