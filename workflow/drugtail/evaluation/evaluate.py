"""Metrics of one block, from its predictions alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.data.groups import class_groups
from drugtail.evaluation.metrics import class_metrics, metric_names, run_metrics
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet

NEW_PARENTS = "test_new_parents"
# What metrics are of: subsets, and of the test molecules those whose parent is not in training.
EVALUATED = ("valid", "test", NEW_PARENTS)
KEYS = ["dataset", "split", "encoder", "method", "seed"]


def evaluate_block(predictions: Path, metrics: Path, class_table: Path) -> None:
    """Write all metrics of the finished runs of a block.

    Parameters
    ----------
    predictions
        ``predictions.parquet``; its header names data set, split, encoder, method, classes and
        their training counts.
    metrics
        Gets one row per run: `KEYS` and ``{subset}_{metric}`` for each of `EVALUATED`.
    class_table
        Gets one row per run, subset and class: n_train, group, n, parents (how many distinct
        parent compounds the n molecules are), recall, precision, f1, balanced_f1, auroc, auprc.
    """
    frame, header = _predictions(predictions)
    groups = class_groups(header["train_counts"])
    key = {name: header[name] for name in KEYS[:-1]}
    runs: dict[int, dict[str, object]] = {}
    classes = []
    parents = _distinct_parents(frame)
    for seed, subset, labels, logits in _parts(frame, len(groups)):
        per_class = class_metrics(labels, logits)
        found = run_metrics(labels, logits, groups, per_class)
        run = runs.setdefault(seed, {**key, "seed": seed})
        run |= {f"{subset}_{name}": value for name, value in found.items()}
        if subset == NEW_PARENTS:
            continue
        classes.append(_class_rows(header, seed, subset, per_class, parents))
    wide = [*KEYS, *(f"{subset}_{name}" for subset in EVALUATED for name in metric_names())]
    write_parquet(metrics, pd.DataFrame(list(runs.values()), columns=wide), header)
    empty = pd.DataFrame(columns=[*KEYS, "subset", "label"])
    write_parquet(class_table, pd.concat(classes) if classes else empty, header)


def further_metrics(
    predictions: Path,
    names: Sequence[str] | None = None,
    compared: Mapping[str, NDArray[np.bool_]] | None = None,
    change: Callable[[int, NDArray[Any]], NDArray[Any]] | None = None,
) -> pd.DataFrame:
    """Compute metrics of the finished runs of a block: a plugin's, or over fewer classes.

    Parameters
    ----------
    predictions
        ``predictions.parquet``.
    names
        Which metrics; by default all of the package.
    compared
        Each of `EVALUATED` -> which classes means are taken over, [C]; by default all with
        molecules.
    change
        Makes other logits of a seed and its logits, [N, C].

    Returns
    -------
    pandas.DataFrame
        One row per run: ``seed`` and ``{subset}_{metric}``.
    """
    frame, header = _predictions(predictions)
    groups = class_groups(header["train_counts"])
    runs: dict[int, dict[str, object]] = {}
    for seed, subset, labels, logits in _parts(frame, len(groups)):
        mask = None if compared is None else compared[subset]
        logits = logits if change is None else change(seed, logits)
        found = run_metrics(labels, logits, groups, names=names, compared=mask)
        run = runs.setdefault(seed, {"seed": seed})
        run |= {f"{subset}_{name}": value for name, value in found.items()}
    wide = [f"{subset}_{name}" for subset in EVALUATED for name in metric_names(names)]
    return pd.DataFrame(list(runs.values()), columns=["seed", *wide])


def further_classes(
    predictions: Path, change: Callable[[int, NDArray[Any]], NDArray[Any]]
) -> pd.DataFrame:
    """Compute metrics per class of the finished runs of a block from other logits.

    Parameters
    ----------
    predictions
        ``predictions.parquet``.
    change
        Makes other logits of a seed and its logits, [N, C].

    Returns
    -------
    pandas.DataFrame
        The rows of `evaluate_block`'s `class_table`.
    """
    frame, header = _predictions(predictions)
    parents = _distinct_parents(frame)
    rows = [
        _class_rows(header, seed, subset, class_metrics(labels, change(seed, logits)), parents)
        for seed, subset, labels, logits in _parts(frame, len(header["class_names"]))
        if subset != NEW_PARENTS
    ]
    return pd.concat(rows) if rows else pd.DataFrame(columns=[*KEYS, "subset", "label"])


def _class_rows(
    header: Mapping[str, Any],
    seed: int,
    subset: str,
    per_class: Mapping[str, NDArray[Any]],
    parents: Mapping[tuple[int, str, int], int],
) -> pd.DataFrame:
    """Metrics of a run's classes on a subset, with names, sizes and groups."""
    names = header["class_names"]
    return pd.DataFrame(
        {
            **{name: header[name] for name in KEYS[:-1]},
            "seed": seed,
            "subset": subset,
            "label": range(len(names)),
            "label_name": names,
            "group": class_groups(header["train_counts"]),
            "n_train": header["train_counts"],
            **per_class,
            "parents": [parents.get((seed, subset, label), 0) for label in range(len(names))],
        }
    )


def _predictions(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and header of a file of predictions."""
    frame = read_parquet(path)
    header = read_parquet_metadata(path)
    names = header.get("class_names", [])
    wanted = {"id", "subset", "label", "seed", "parent", "new_parent"}
    wanted |= {f"logit_{c}" for c in range(len(names))}
    if not names or not wanted <= set(frame.columns):
        raise DrugtailError(f"{path}: is not a predictions file; train the block again")
    return frame, header


def _distinct_parents(frame: pd.DataFrame) -> dict[tuple[int, str, int], int]:
    """Seed, subset and class -> distinct parent compounds among its molecules."""
    counted = frame.groupby(["seed", "subset", "label"])["parent"].nunique().reset_index()
    keys = zip(counted["seed"], counted["subset"], counted["label"], strict=True)
    return dict(zip(keys, counted["parent"].tolist(), strict=True))


def _parts(
    frame: pd.DataFrame, classes: int
) -> Iterator[tuple[int, str, NDArray[np.int64], NDArray[Any]]]:
    """Seed, subset, true classes and logits of every run and of each of `EVALUATED`."""
    columns = [f"logit_{c}" for c in range(classes)]
    for (seed, subset), rows in frame.groupby(["seed", "subset"], sort=True):
        parts = {str(subset): rows}
        if subset == "test":
            parts[NEW_PARENTS] = rows[rows["new_parent"]]
        for name, part in parts.items():
            labels = part["label"].to_numpy(dtype=np.int64)
            yield int(str(seed)), name, labels, part[columns].to_numpy()
