"""Stored predictions of a block with a correction of the prior."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from drugtail.config.prior import Shares
from drugtail.evaluation.evaluate import KEYS, further_classes
from drugtail.methods.prior import corrected
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet


def learned_shares(folder: Path) -> dict[int, Shares]:
    """Seed -> class shares that a finished run's probabilities have learned; None if undefined.

    Parameters
    ----------
    folder
        Folder of a finished block.
    """
    seeds = read_json(folder / "status.json")["seeds"]
    shares = read_json(folder / "manifest.json")["shares"]
    return {
        int(seed): shares[seed] for seed, state in seeds.items() if state["status"] == "finished"
    }


def correction(
    shares: Mapping[int, Shares], tau: float
) -> Callable[[int, NDArray[Any]], NDArray[Any]]:
    """Return a function that corrects the logits of a seed, [N, C].

    Parameters
    ----------
    shares
        As of `learned_shares`.
    tau
        Strength.
    """

    def change(seed: int, logits: NDArray[Any]) -> NDArray[Any]:
        known = shares[seed]
        assert known is not None
        return corrected(logits, known, tau)

    return change


def corrected_classes(folders: Sequence[Path], tau: float | None) -> pd.DataFrame:
    """Return the metrics per class of blocks of one method, with a correction of the prior.

    Parameters
    ----------
    folders
        Folders of finished blocks.
    tau
        Strength of the correction; None makes none.

    Returns
    -------
    pandas.DataFrame
        Rows of ``class_metrics.parquet`` of the blocks.
    """
    parts = []
    for folder in folders:
        if tau is None:
            parts.append(read_parquet(folder / "class_metrics.parquet"))
        else:
            change = correction(learned_shares(folder), tau)
            parts.append(further_classes(folder / "predictions.parquet", change))
    filled = [part for part in parts if not part.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=KEYS)
