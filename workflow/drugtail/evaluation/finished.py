"""Finished blocks of a benchmark, found by the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from drugtail.evaluation.collect import parse_block
from drugtail.evaluation.corrections import corrected_classes
from drugtail.evaluation.derived_rows import uncorrected_name
from drugtail.evaluation.statistics import kind_of
from drugtail.runtime.names import method_label


class FinishedBlocks:
    """Finished blocks of a benchmark, found by the rows of its tables.

    Parameters
    ----------
    folders
        Folders of blocks; those that are not finished do not count.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.blocks = [parse_block(one) for one in folders if (one / "status.json").is_file()]
        # With a correction they take seconds where there are many classes.
        self._classes: dict[tuple[str, str, str, str], pd.DataFrame] = {}

    def of(
        self, dataset: str, kind: str, method: str, encoder: str
    ) -> tuple[list[Path], float | None]:
        """Return the folders behind a row, and the strength of its correction.

        Parameters
        ----------
        dataset
            Name of the data set.
        kind
            Kind of its splits.
        method
            Name of the row: with ``+prior_…`` if it is corrected, with ``+tuned`` if it is tuned.
        encoder
            Name of the encoder.
        """
        trained, tau = uncorrected_name(method)
        folders = [
            block.folder
            for block in self.blocks
            if (block.dataset, kind_of(block.split), block.encoder) == (dataset, kind, encoder)
            and method_label(block.method, block.settings) == trained
        ]
        return folders, tau

    def classes(self, dataset: str, kind: str, method: str, encoder: str) -> pd.DataFrame:
        """Return the rows of ``class_metrics.parquet`` of a row of the tables, named like it."""
        row = (dataset, kind, method, encoder)
        if row not in self._classes:
            self._classes[row] = corrected_classes(*self.of(*row)).assign(method=method)
        return self._classes[row]
