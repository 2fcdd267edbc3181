"""Reading a published benchmark back, after checking that its files belong together."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.benchmark.publish import METRICS
from drugtail.evaluation.derived_rows import is_derived
from drugtail.evaluation.predicted import PREDICTIONS, recalls
from drugtail.evaluation.settings import with_tuned_names
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_json, write_json
from drugtail.runtime.parquet import read_parquet

# Metrics of a run here are never taken for those of a published benchmark.
MARKER = "imported.json"
RUN = ["dataset", "split", "encoder", "method", "seed"]


def read_back(published: Path, output: Path) -> int:
    """Copy the metrics of a published benchmark to where `drugtail tabulate` reads them.

    Recalls are computed again from the predicted classes and compared with those published; the
    status of every run is compared with the manifest's.

    Parameters
    ----------
    published
        Folder that `drugtail publish` wrote.
    output
        Folder for the metrics. One that was read back earlier is replaced, no other.

    Returns
    -------
    int
        Number of runs.

    Raises
    ------
    DrugtailError
        If a file is missing, two of them do not belong together (the message names both), or
        `output` holds something else, such as the metrics of a run.
    """
    if output.exists() and not (output / MARKER).is_file():
        raise DrugtailError(
            f"{output}: is there already and was not read back from a published benchmark; name "
            "another folder with --output"
        )
    manifest = read_json(published / "manifest.json")
    runs = read_parquet(published / "metrics" / "runs.parquet")
    runs = runs[~is_derived(runs["method"])]
    if int((runs["status"] == "finished").sum()) != manifest["runs"]:
        raise DrugtailError(
            f"{published / 'metrics/runs.parquet'}: has "
            f"{int((runs['status'] == 'finished').sum())} finished runs, manifest.json says "
            f"{manifest['runs']}; publish the benchmark again"
        )
    if (published / PREDICTIONS).is_file():
        _compare_recalls(published)
    with atomic_directory(output, marker=MARKER) as folder:
        write_json(folder / MARKER, {"published": str(published), "runs": len(runs)})
        for file in METRICS:
            shutil.copy(published / "metrics" / file, folder)
    return len(runs)


def _compare_recalls(published: Path) -> None:
    """Refuse recalls that do not follow from the predicted classes."""
    found = recalls(read_parquet(published / PREDICTIONS))
    classes = with_tuned_names(read_parquet(published / "metrics" / "class_metrics.parquet"))
    classes = classes[(classes["subset"] == "test") & (classes["n"] > 0)]
    both = classes[[*RUN, "label", "recall"]].merge(
        found.astype({"label": "int64"}), on=[*RUN, "label"], how="outer", indicator=True,
        suffixes=("_published", ""),
    )  # fmt: skip
    recall = both["recall"].astype(float)
    equal = np.isclose(both["recall_published"].astype(float), recall, rtol=0, atol=1e-9)
    wrong = both[(both["_merge"] != "both") | ~equal]
    if len(wrong):
        raise DrugtailError(
            f"{published}: {PREDICTIONS} and metrics/class_metrics.parquet do not belong together: "
            f"{_named(wrong.iloc[0])}; publish the benchmark again"
        )


def _named(row: pd.Series) -> str:
    run = "/".join(str(row[key]) for key in RUN)
    return (
        f"run {run}, class {row['label']}: recall {row['recall']} from the predicted classes, "
        f"{row['recall_published']} published"
    )
