"""Metrics of one run, overall and for head, middle and tail, from true classes and logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import cohen_kappa_score, confusion_matrix, matthews_corrcoef

from drugtail.data.groups import GROUPS

BINS = 15
# Means over classes; each has a form per group of classes.
PER_CLASS_MEANS = {
    "balanced_accuracy": "recall",
    "balanced_f1": "balanced_f1",
    "macro_f1": "f1",
    "auroc": "auroc",
    "auprc": "auprc",
}


def class_metrics(
    labels: NDArray[np.int64], logits: NDArray[np.floating[Any]]
) -> dict[str, NDArray[np.float64]]:
    """Metrics of every class; NaN where a class has no molecule.

    Parameters
    ----------
    labels
        True classes, [N].
    logits
        [N, C].

    Returns
    -------
    dict
        ``n``, ``recall``, ``precision``, ``f1``, ``balanced_f1``, ``auroc`` and ``auprc`` (one
        against the rest), each [C].
    """
    classes = logits.shape[1]
    confusion = confusion_matrix(labels, logits.argmax(1), labels=range(classes)).astype(float)
    true, predicted, hits = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hits / true
        precision = np.where(predicted > 0, hits / predicted, 0.0)
        f1 = np.where(true > 0, 2 * hits / (true + predicted), np.nan)
    probabilities = softmax(logits.astype(float), axis=1)
    auroc, auprc = np.full(classes, np.nan), np.full(classes, np.nan)
    for c in np.flatnonzero((true > 0) & (true < len(labels))):
        auroc[c], auprc[c] = ranking_metrics(labels == c, probabilities[:, c])
    return {
        "n": true,
        "recall": recall,
        "precision": np.where(true > 0, precision, np.nan),
        "f1": f1,
        "balanced_f1": balanced_f1_per_class(confusion),
        "auroc": auroc,
        "auprc": auprc,
    }


def ranking_metrics(
    positive: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[float, float]:
    """Areas under the curves of one class against the rest, from one sort of the scores.

    Equal scores are one threshold, and the second area is the average precision, as in
    scikit-learn.

    Parameters
    ----------
    positive
        Which molecules are of the class, [N]; some are and some are not.
    scores
        [N].

    Returns
    -------
    auroc, auprc : float
    """
    order = np.argsort(-scores)
    # Last molecule of each threshold.
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[ends]
    called = ends + 1
    gained = np.diff(hits, prepend=0)
    lost = np.diff(called - hits, prepend=0)
    pairs = float(hits[-1]) * (len(scores) - hits[-1])
    auroc = float((lost * (hits - gained / 2)).sum() / pairs)
    auprc = float((gained * (hits / called)).sum() / hits[-1])
    return auroc, auprc


def balanced_f1_per_class(confusion: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """F1 with the precision that equally large classes would give (ImDrug, 2022), [C].

    With r_c the recall, the balanced precision is q_c = r_c / Σ_j (M_jc / Σ_k M_jk), and
    F_c = 2 q_c r_c / (q_c + r_c), 0 where undefined; NaN for a class without molecules.

    Parameters
    ----------
    confusion
        Counts M, rows are true classes, [C, C].
    """
    true = confusion.sum(1)
    rates = confusion / np.maximum(true, 1)[:, None]
    recall, called = rates.diagonal(), rates.sum(0)
    precision = np.divide(recall, called, out=np.zeros_like(recall), where=called > 0)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return np.where(true > 0, f1, np.nan)


def run_metrics(
    labels: NDArray[np.int64],
    logits: NDArray[np.floating[Any]],
    groups: Sequence[str],
    per_class: dict[str, NDArray[np.float64]] | None = None,
) -> dict[str, float]:
    """All metrics of one run; a metric of a group ends in _head, _middle or _tail.

    Parameters
    ----------
    labels
        True classes, [N].
    logits
        [N, C].
    groups
        Group of each class, length C.
    per_class
        What `class_metrics` gives, if it is known already.

    Returns
    -------
    dict
        Name -> value; NaN where it is not defined, for example for a group without classes.
    """
    per_class = class_metrics(labels, logits) if per_class is None else per_class
    predicted = logits.argmax(1)
    confidence = softmax(logits.astype(float), axis=1).max(1)
    values = {
        **_means(per_class, np.ones(len(groups), dtype=bool)),
        **_of_molecules(labels, predicted, confidence),
        "mcc": float(matthews_corrcoef(labels, predicted)),
        "cohen_kappa": float(cohen_kappa_score(labels, predicted)),
    }
    for group in GROUPS:
        members = np.array([g == group for g in groups])
        rows = members[labels]
        grouped = _means(per_class, members) | _of_molecules(
            labels[rows], predicted[rows], confidence[rows]
        )
        values |= {f"{name}_{group}": value for name, value in grouped.items()}
    return values


def metric_names() -> list[str]:
    """Names of all metrics that `run_metrics` gives."""
    dummy = run_metrics(np.array([0, 1]), np.eye(2), ["head", "tail"])
    return list(dummy)


def calibration_error(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], confidence: NDArray[np.float64]
) -> float:
    """Expected calibration error: mean |accuracy − confidence| over 15 equal bins, weighted.

    Guo et al., ICML 2017. Bins are (0, 1/15], (1/15, 2/15], …; confidence is the largest
    predicted probability. NaN without molecules.
    """
    if len(labels) == 0:
        return float("nan")
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    excess = np.bincount(bins, weights=(labels == predicted) - confidence, minlength=BINS)
    return float(np.abs(excess).sum() / len(labels))


def _means(
    per_class: dict[str, NDArray[np.float64]], members: NDArray[np.bool_]
) -> dict[str, float]:
    """Means over the classes of a group that have molecules."""
    present = members & (per_class["n"] > 0)
    values = {
        name: _nanmean(per_class[source][present]) for name, source in PER_CLASS_MEANS.items()
    }
    recall = per_class["recall"][present]
    if len(recall) == 0:
        undefined = ("geometric_mean", "harmonic_mean", "worst_class_recall")
        return values | dict.fromkeys(undefined, float("nan"))
    return values | {
        # By logarithms: the product of many recalls is too small for a float.
        "geometric_mean": 0.0 if recall.min() == 0 else float(np.exp(np.log(recall).mean())),
        "harmonic_mean": 0.0 if recall.min() == 0 else float(len(recall) / (1 / recall).sum()),
        "worst_class_recall": float(recall.min()),
    }


def _of_molecules(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], confidence: NDArray[np.float64]
) -> dict[str, float]:
    return {
        "accuracy": _nanmean((labels == predicted).astype(float)),
        "calibration_error": calibration_error(labels, predicted, confidence),
    }


def _nanmean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
