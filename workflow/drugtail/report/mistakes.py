"""Mistakes of the chosen method: the part of a page with its single molecules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from drugtail.evaluation.mistakes import (
    Predictions,
    confused_molecules,
    confusions,
    precision_recall,
    read_predictions,
    reliability,
)
from drugtail.report.structures import drawn, svg_address
from drugtail.runtime.parquet import read_parquet

# Pairs of classes and molecules that are shown, and classes whose curve is drawn.
MOST_PAIRS, MOST_MOLECULES, RAREST = 30, 12, 3
# A matrix of more classes cannot be read.
MOST_CLASSES = 40


class Structure(NamedTuple):
    """A molecule that is often taken for another class, drawn if RDKit can."""

    image: str | None
    smiles: str
    second: str
    row: dict[Any, Any]


class Mistakes(NamedTuple):
    """Mistakes of a method on a data set.

    Attributes
    ----------
    pairs : list of dict
        ``label``, ``predicted``, ``molecules`` and ``of`` of the most frequent mistakes, as
        `drugtail.evaluation.mistakes.confusions` returns them.
    left_out : int
        Further pairs.
    molecules : list of Structure
        The molecules that were wrong with the highest probability.
    charts : dict
        Specifications of the charts.
    """

    pairs: list[dict[Any, Any]]
    left_out: int
    molecules: list[Structure]
    charts: dict[str, dict[str, Any]]


def mistakes_of(folders: Sequence[Path], tau: float | None, molecules: Path) -> Mistakes:
    """Read what blocks of one method on one data set get wrong.

    Parameters
    ----------
    folders
        Folders of its finished blocks.
    tau
        Strength of a correction of the prior; None makes none.
    molecules
        ``molecules.parquet`` of the data set.
    """
    # Takes a second to import.
    from drugtail.report.charts import confusion_chart, precision_recall_chart, reliability_chart

    predictions = read_predictions(folders, tau)
    found = confusions(predictions)
    charts = {
        "reliability": reliability_chart(reliability(predictions)),
        "rarest": precision_recall_chart(precision_recall(predictions, RAREST)),
    }
    if len(predictions.names) <= MOST_CLASSES:
        charts["confusion"] = confusion_chart(found, predictions.names_by_size())
    wrong = found[found["label"] != found["predicted"]]
    wrong = wrong.sort_values("molecules", ascending=False, kind="stable")
    return Mistakes(
        pairs=wrong.head(MOST_PAIRS).to_dict("records"),
        left_out=max(0, len(wrong) - MOST_PAIRS),
        molecules=_structures(predictions, molecules),
        charts=charts,
    )


def _structures(predictions: Predictions, molecules: Path) -> list[Structure]:
    rows = confused_molecules(predictions, MOST_MOLECULES)
    known = read_parquet(molecules)
    columns = [name for name in ("id", "smiles", "second") if name in known]
    joined = rows.merge(known[columns].astype({"id": rows["id"].dtype}), on="id", how="left")
    return [
        Structure(
            svg_address(svg) if (svg := drawn(str(row["smiles"]))) else None,
            str(row["smiles"]),
            "" if pd.isna(row.get("second", None)) else str(row["second"]),
            row,
        )
        for row in joined.to_dict("records")
    ]
