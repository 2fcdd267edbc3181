"""Notes below tables: what a reader must know of the runs that they are about."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from drugtail.config.table import Table
from drugtail.evaluation.compared import note_on
from drugtail.evaluation.derived_rows import GHOST, PRIOR
from drugtail.evaluation.effort import effort_note
from drugtail.runtime.names import TUNED
from drugtail.runtime.parquet import read_parquet_metadata

DEFAULT_NOTE = "Settings: those of the recipes and the benchmark; none was tuned."
TUNED_NOTE = (
    "Settings: tuned ones were chosen by balanced accuracy on validation molecules, default ones "
    "are those of the recipe and the benchmark."
)
PRIOR_NOTE = (
    "METHOD+prior_T: T times the log of the class shares that the method has learned is taken off "
    "its stored log-probabilities, which are at least log 1e-6; nothing is trained."
)
ENCODERS_NOTE = (
    "Differences are means over the encoders that both methods ran on (of {encoders}); methods "
    "that share none are each averaged over their own."
)
GHOST_NOTE = (
    "METHOD+ghost: the smaller of two classes is said from another probability on than a half, the "
    "one with the highest median of Cohen's kappa over 100 subsets of a fifth of the validation "
    "molecules (GHOST); figures on those molecules are therefore no test of it. Nothing is trained."
)


def notes_on_runs(metrics: Path, frame: pd.DataFrame) -> list[str]:
    """Return notes on rows without training, on methods, on their effort and their settings.

    Parameters
    ----------
    metrics
        Folder that `drugtail collect` wrote.
    frame
        Rows of its ``runs.parquet`` that a table is about.
    """
    note = effort_note(frame)
    effort = [] if note is None else [note]
    return [*_derived(metrics, frame), *_on_methods(metrics), *effort, *settings_notes(frame)]


def _derived(metrics: Path, frame: pd.DataFrame) -> list[str]:
    """Notes on rows that come from stored predictions, and on methods that have none."""
    ghost = [GHOST_NOTE] if frame["method"].astype(str).str.endswith(GHOST).any() else []
    if not frame["method"].astype(str).str.contains(PRIOR, regex=False).any():
        return ghost
    header = read_parquet_metadata(metrics / "runs.parquet")
    found = {
        "Nothing is left to correct for": header.get("even", []),
        "Not defined for": header.get("uncorrected", []),
    }
    note = " ".join([PRIOR_NOTE, *(f"{text} {', '.join(m)}." for text, m in found.items() if m)])
    return [note, *ghost]


def _on_methods(metrics: Path) -> list[str]:
    """Notes on methods that have two names, or were made anew, as the benchmark's plan says."""
    found: list[str] = read_parquet_metadata(metrics / "runs.parquet").get("notes", [])
    return found


def left_out_notes(metrics: Path, table: Table) -> list[str]:
    """Return notes on the classes that means leave out, if there are any."""
    left_out = read_parquet_metadata(metrics / "runs.parquet").get("left_out", {})
    notes = {table.subset: note_on(left_out, table.subset)}
    for column in table.columns:
        subset = column.subset or table.subset
        note = note_on(left_out, subset)
        if note is not None and note not in notes.values():
            notes[subset] = f"{column.title}: {note}"
    return [note for note in notes.values() if note is not None]


def encoder_notes(frame: pd.DataFrame) -> list[str]:
    """Return a note on differences that are means over encoders, if methods ran on several."""
    encoders = frame.groupby("method")["encoder"].unique()
    several = [names for names in encoders if len(names) > 1]
    if not several:
        return []
    named = ", ".join(dict.fromkeys(name for names in several for name in names))
    return [ENCODERS_NOTE.format(encoders=named)]


def settings_notes(frame: pd.DataFrame) -> list[str]:
    """Return a note on whether settings were tuned, as far as runs.parquet says."""
    if "settings" not in frame:
        return []
    return [TUNED_NOTE if (frame["settings"] == TUNED).any() else DEFAULT_NOTE]
