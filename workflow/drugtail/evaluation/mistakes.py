"""Mistakes of a method on test molecules, and the reliability of its probabilities.

A molecule that is tested several times, by repetitions or training seeds, counts as one: each test
has its share of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from drugtail.evaluation.corrections import correction, learned_shares
from drugtail.evaluation.metrics import BINS
from drugtail.evaluation.statistics import LEVEL
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata

TEST = "test"
# Points of a curve that is drawn.
POINTS = 100


class Predictions(NamedTuple):
    """Predictions of blocks of one method on test molecules.

    Attributes
    ----------
    frame : pandas.DataFrame
        A row per test: ``id`` of the molecule, ``label``, ``predicted`` (the most probable class),
        ``confidence`` (its probability) and ``share`` of the molecule, 1 over its tests.
    probabilities : numpy.ndarray
        Float64, [N, C].
    names : list of str
        Names of the classes, [C].
    trained : numpy.ndarray
        Training molecules of each class on the first split, [C].
    """

    frame: pd.DataFrame
    probabilities: NDArray[np.float64]
    names: list[str]
    trained: NDArray[np.int64]

    def names_by_size(self) -> list[str]:
        """Return the names of the classes, the largest in training first."""
        order = np.argsort(-self.trained, kind="stable")
        return [self.names[position] for position in order]


def read_predictions(folders: Sequence[Path], tau: float | None) -> Predictions:
    """Read what finished blocks of one method on one data set say of test molecules.

    Parameters
    ----------
    folders
        Folders of the blocks, at least one.
    tau
        Strength of a correction of the prior; None makes none.
    """
    header = read_parquet_metadata(folders[0] / "predictions.parquet")
    frames, parts = [], []
    for folder in folders:
        rows = read_parquet(folder / "predictions.parquet")
        rows = rows[rows["subset"] == TEST]
        change = None if tau is None else correction(learned_shares(folder), tau)
        for seed, group in rows.groupby("seed"):
            logits = group.filter(like="logit_").to_numpy(dtype=float)
            known = logits if change is None else change(int(str(seed)), logits)
            parts.append(softmax(known, axis=1))
            frames.append(group[["id", "label"]])
    probabilities = np.concatenate(parts)
    frame = pd.concat(frames, ignore_index=True)
    frame["predicted"] = probabilities.argmax(axis=1)
    frame["confidence"] = probabilities.max(axis=1)
    frame["share"] = 1 / frame.groupby("id")["id"].transform("size")
    trained = np.asarray(header["train_counts"], dtype=np.int64)
    return Predictions(frame, probabilities, list(header["class_names"]), trained)


def confusions(predictions: Predictions) -> pd.DataFrame:
    """Return the confusion matrix in molecules.

    Returns
    -------
    pandas.DataFrame
        ``label``, ``predicted`` (names), ``molecules`` (shares of them add up, so no whole number
        with several repetitions) and ``of`` (all of the class), for what occurred.
    """
    summed = predictions.frame.groupby(["label", "predicted"])["share"].sum()
    found = summed.rename("molecules").reset_index()
    found["of"] = found.groupby("label")["molecules"].transform("sum")
    for column in ("label", "predicted"):
        found[column] = [predictions.names[position] for position in found[column]]
    return found


def reliability(predictions: Predictions) -> pd.DataFrame:
    """Return how often a method is right where it is how sure.

    Returns
    -------
    pandas.DataFrame
        A row for each of the bins of the calibration error that has molecules: ``molecules``, mean
        ``confidence``, ``accuracy``, and ``low`` and ``high``, Wilson's 95 % interval of it.
    """
    from statsmodels.stats.proportion import proportion_confint

    frame = predictions.frame
    place = np.clip(np.ceil(frame["confidence"] * BINS).astype(int) - 1, 0, BINS - 1)
    weighted = pd.DataFrame(
        {
            "molecules": frame["share"],
            "confidence": frame["confidence"] * frame["share"],
            "accuracy": (frame["predicted"] == frame["label"]) * frame["share"],
        }
    )
    found = weighted.groupby(place).sum().reset_index(drop=True)
    for column in ("confidence", "accuracy"):
        found[column] /= found["molecules"]
    right = found["accuracy"] * found["molecules"]
    low, high = proportion_confint(right, found["molecules"], alpha=1 - LEVEL, method="wilson")
    return found.assign(low=low, high=high)


def precision_recall(predictions: Predictions, number: int) -> pd.DataFrame:
    """Return the precision-recall curves of the rarest classes that are tested.

    Probabilities of all splits are put together, so a curve also shows where models of different
    splits are differently sure.

    Parameters
    ----------
    predictions
        Of test molecules.
    number
        How many classes.

    Returns
    -------
    pandas.DataFrame
        ``label`` (name), ``recall``, ``precision`` and ``molecules`` of the class, at most `POINTS`
        rows a class, by falling probability, so by rising recall.
    """
    from sklearn.metrics import precision_recall_curve

    labels = predictions.frame["label"].to_numpy()
    share = predictions.frame["share"].to_numpy()
    present = np.flatnonzero(np.bincount(labels, minlength=len(predictions.names)))
    rarest = present[np.argsort(predictions.trained[present], kind="stable")][:number]
    parts = []
    for label in rarest:
        precision, recall, _ = precision_recall_curve(
            labels == label, predictions.probabilities[:, label], sample_weight=share
        )
        # By falling probability, without the first point, recall 0 at precision 1, which is none of
        # the data. Of points with one recall the first has the highest precision.
        recall, precision = recall[-2::-1], precision[-2::-1]
        risen = np.flatnonzero(np.diff(recall, prepend=0) > 0)
        kept = risen[np.unique(np.linspace(0, len(risen) - 1, POINTS).round().astype(int))]
        curve = {"recall": recall[kept], "precision": precision[kept]}
        parts.append(
            pd.DataFrame(curve).assign(
                label=predictions.names[label], molecules=share[labels == label].sum()
            )
        )
    columns = ["label", "molecules", "recall", "precision"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def confused_molecules(predictions: Predictions, number: int) -> pd.DataFrame:
    """Return the molecules with the highest probability of a wrong class.

    Parameters
    ----------
    predictions
        Of test molecules.
    number
        How many.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``label`` and ``predicted`` (names; of several wrong classes the most probable one),
        ``probability`` (mean over tests of what was said of that class), ``wrong`` and ``tests``
        (how often wrong, and how often tested), the highest probability first.
    """
    wrong = predictions.probabilities.copy()
    wrong[np.arange(len(wrong)), predictions.frame["label"]] = 0
    summed: Any = pd.DataFrame(wrong).groupby(predictions.frame["id"].to_numpy(), sort=False).mean()
    missed = predictions.frame["predicted"] != predictions.frame["label"]
    grouped = predictions.frame.assign(missed=missed).groupby("id", sort=False)
    found = grouped.agg(label=("label", "first"), wrong=("missed", "sum"), tests=("id", "size"))
    values = summed.loc[found.index].to_numpy()
    found["predicted"] = values.argmax(axis=1)
    found["probability"] = values.max(axis=1)
    found = found[found["wrong"] > 0].sort_values("probability", ascending=False, kind="stable")
    found = found.head(number).reset_index()
    for column in ("label", "predicted"):
        found[column] = [predictions.names[position] for position in found[column]]
    return found[["id", "label", "predicted", "probability", "wrong", "tests"]]
