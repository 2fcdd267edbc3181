"""Reading a published benchmark back, after checking that its files belong together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.publish import KINDS
from drugtail.benchmark.published_metrics import CLASSES, RUNS, read_metrics
from drugtail.config.catalogue import Catalogue, read_benchmark
from drugtail.evaluation.derived_rows import is_derived
from drugtail.evaluation.molecules import with_group_sizes
from drugtail.evaluation.predicted import PREDICTIONS, recalls
from drugtail.evaluation.settings import with_tuned_names
from drugtail.report.tables import tabulate
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, read_json, write_json
from drugtail.runtime.logging import counted
from drugtail.runtime.parquet import read_parquet, write_parquet

# Metrics of a run here are never taken for those of a published benchmark.
MARKER = "imported.json"
RUN = ["dataset", "split", "encoder", "method", "seed"]


def read_back(published: Sequence[Path], output: Path) -> int:
    """Copy the metrics of published benchmarks to where `drugtail tabulate` reads them.

    Recalls are computed again from the predicted classes and compared with those published; the
    status of every run is compared with the manifest's.

    Parameters
    ----------
    published
        Folders that `drugtail publish` wrote. Runs of several are put together, as of parts of a
        study on other data sets.
    output
        Folder for the metrics. One that was read back earlier is replaced, no other.

    Returns
    -------
    int
        Number of runs.

    Raises
    ------
    DrugtailError
        If a file is missing, two of them do not belong together (the message names both), a run
        stands in two folders, or `output` holds something else, such as the metrics of a run.
    """
    if output.exists() and not (output / MARKER).is_file():
        raise DrugtailError(
            f"{output}: is there already and was not read back from a published benchmark; name "
            "another folder with --output"
        )
    numbers = [_check(folder) for folder in published]
    tables = {file: [folder / "metrics" / file for folder in published] for file in (RUNS, CLASSES)}
    _refuse_twice(published, tables[RUNS])
    with atomic_directory(output, marker=MARKER) as folder:
        write_json(folder / MARKER, {"published": list(map(str, published)), "runs": sum(numbers)})
        joined = {}
        for file, paths in tables.items():
            read = [read_metrics(path) for path in paths]
            frames = [frame for frame, _ in read if len(frame)] or [read[0][0]]
            header = _joined([one for _, one in read])
            joined[file] = pd.concat(frames, ignore_index=True), header
        runs, header = joined[RUNS]
        # Benchmarks that were published earlier do not have them.
        joined[RUNS] = with_group_sizes(runs, joined[CLASSES][0]), header
        for file, (frame, header) in joined.items():
            write_parquet(folder / file, frame, header)
    return sum(numbers)


def _check(published: Path) -> int:
    """Number of runs of a published benchmark; an error if its files do not belong together."""
    manifest = read_json(published / "manifest.json")
    runs = read_parquet(published / "metrics" / "runs.parquet")
    runs = runs[~is_derived(runs["method"])]
    if int((runs["status"] == "finished").sum()) != manifest["runs"]:
        raise DrugtailError(
            f"{published / 'metrics/runs.parquet'}: has "
            f"{int((runs['status'] == 'finished').sum())} finished runs, manifest.json says "
            f"{manifest['runs']}; publish the benchmark again"
        )
    _compare_recalls(published)
    return len(runs)


def _refuse_twice(published: Sequence[Path], runs: Sequence[Path]) -> None:
    """Refuse a run that stands in two folders: it would count twice."""
    keys = [
        with_tuned_names(read_parquet(path))[RUN].assign(folder=str(folder))
        for folder, path in zip(published, runs, strict=True)
    ]
    both = pd.concat(keys, ignore_index=True)
    again = both[both.duplicated(RUN, keep=False)]
    if len(again):
        first = again.iloc[0]
        places = again[(again[RUN] == first[RUN]).all(axis=1)]["folder"].unique()
        run = "/".join(str(first[key]) for key in RUN)
        raise DrugtailError(f"run {run} stands in {' and '.join(places)}; name one of them")


def _joined(headers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put headers together: lists and dictionaries are joined, else the first one holds."""
    found: dict[str, Any] = {}
    for header in headers:
        for key, value in header.items():
            if isinstance(value, dict):
                found[key] = _joined([found.get(key, {}), value])
            elif isinstance(value, list):
                found[key] = list(dict.fromkeys([*found.get(key, []), *value]))
            else:
                found.setdefault(key, value)
    return found


def retabulate(
    published: Sequence[Path], catalogue: Catalogue, output: Path | None = None
) -> dict[str, list[str]]:
    """Make the tables of published benchmarks again from what is published of their runs.

    Parameters
    ----------
    published
        Folders that `drugtail publish` wrote. Of several, the tables of the first one are made of
        the runs of all, so that ranks and questions go over their data sets.
    catalogue
        Where the definitions of tables, methods and data sets are.
    output
        Folder for the tables; None makes them to be compared alone.

    Returns
    -------
    dict
        Name of a table -> its files that are not those of the first folder, byte for byte.

    Raises
    ------
    DrugtailError
        As `read_back`, if a folder is none that was published, or several have no `output`.
    """
    if len(published) > 1 and output is None:
        raise DrugtailError(
            "of several folders there are no published tables to compare with; name a folder for "
            "the new ones: --output"
        )
    first = published[0]
    _, plan = published_plan(first, catalogue)
    other = {}
    with TemporaryDirectory(prefix="drugtail-") as temporary:
        metrics = Path(temporary) / "metrics"
        print(f"{counted(read_back(published, metrics), 'run')}, recalls computed again")
        folder = output or Path(temporary)
        for table in plan.tables.values():
            tabulate(metrics, table, folder / table.name, reference=plan.benchmark.reference)
            files = [f"{table.name}.{kind}" for kind in KINDS]
            kept = first / "tables"
            other[table.name] = [one for one in files if not _equal(folder / one, kept / one)]
    return other


def published_plan(published: Path, catalogue: Catalogue) -> tuple[Path, Plan]:
    """Return the configuration of a published benchmark and its plan by today's code.

    Raises
    ------
    DrugtailError
        If the folder is none that `drugtail publish` wrote.
    """
    configs = sorted(published.glob("*.yaml"))
    if len(configs) != 1 or not (published / "manifest.json").is_file():
        raise DrugtailError(
            f"{published}: is no folder that `drugtail publish` wrote; such a folder has a "
            "manifest.json and the configuration of the benchmark (YAML)"
        )
    return configs[0], Plan(read_benchmark(configs[0]), catalogue)


def _equal(made: Path, kept: Path) -> bool:
    return kept.is_file() and kept.read_bytes() == made.read_bytes()


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
