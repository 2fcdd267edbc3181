"""Metrics of one run, overall and for head, middle and tail, from true classes and logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from drugtail.data.groups import GROUPS
from drugtail.runtime.registry import Registry

BINS = 15


@dataclass(frozen=True)
class Evaluated:
    """Predictions of one run, for all classes or for a group of them.

    Attributes
    ----------
    labels, predicted : numpy.ndarray
        True and predicted class of each molecule whose true class is one of these, int64 [n].
    probabilities : numpy.ndarray
        Of all classes, [n, C].
    per_class : dict
        What `class_metrics` gives, of those of these classes that means are taken over, each [K].
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    per_class: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Metric:
    """Properties of a metric besides its function.

    Attributes
    ----------
    groups : bool
        Whether there is one of head, middle and tail, too.
    smaller_is_better : bool
        Whether a smaller value is the better one; comparisons count wins by it.
    """

    groups: bool = True
    smaller_is_better: bool = False


# A function of one run's predictions; it is not called without molecules. The first line of its
# docstring is what `drugtail list metrics` shows.
METRICS: Registry[Callable[[Evaluated], float]] = Registry("metric")


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
    # Here and below, since what only knows the names of metrics need not wait for scikit-learn.
    from sklearn.metrics import confusion_matrix

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
    names: Sequence[str] | None = None,
    compared: NDArray[np.bool_] | None = None,
) -> dict[str, float]:
    """Metrics of one run; a metric of a group ends in _head, _middle or _tail.

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
    names
        Which metrics; by default all of the package.
    compared
        Which classes means are taken over, [C]; by default all that have molecules.

    Returns
    -------
    dict
        Name -> value; NaN where it is not defined, for example for a group without classes.

    Raises
    ------
    DrugtailError
        If a metric fails or gives no number.
    """
    per_class = class_metrics(labels, logits) if per_class is None else per_class
    probabilities = softmax(logits.astype(float), axis=1)
    predicted = logits.argmax(1)
    averaged = per_class["n"] > 0
    if compared is not None:
        averaged &= compared
    values: dict[str, float] = {}
    for group in (None, *GROUPS):
        members = np.array([group in (None, g) for g in groups])
        rows, present = members[labels], members & averaged
        part = Evaluated(
            labels[rows], predicted[rows], probabilities[rows],
            {name: values[present] for name, values in per_class.items()},
        )  # fmt: skip
        for name in packaged_metrics() if names is None else names:
            if group is None:
                values[name] = _value(name, part)
            elif in_groups(name):
                values[f"{name}_{group}"] = _value(name, part)
    return values


def _value(name: str, part: Evaluated) -> float:
    if not len(part.labels) or not len(part.per_class["recall"]):
        return float("nan")
    with METRICS.blamed(name):
        return float(METRICS[name](part))


def packaged_metrics() -> list[str]:
    """Names of the metrics of the package."""
    return [name for name in METRICS.names() if METRICS.is_packaged(name)]


def in_groups(name: str) -> bool:
    """Return whether a metric is also one of head, middle and tail."""
    declared: Any = METRICS.settings(name) or Metric()
    groups: bool = declared.groups
    return groups


def smaller_is_better(column: str) -> bool:
    """Return whether a smaller value is the better one, of a column such as test_accuracy_tail."""
    name = column.removeprefix("valid_").removeprefix("test_").removeprefix("new_parents_")
    for group in GROUPS:
        name = name.removesuffix(f"_{group}")
    declared: Any = METRICS.settings(name) or Metric()
    smaller: bool = declared.smaller_is_better
    return smaller


def metric_names(names: Sequence[str] | None = None) -> list[str]:
    """Names of all numbers that `run_metrics` gives."""
    chosen = packaged_metrics() if names is None else names
    grouped = [f"{name}_{group}" for group in GROUPS for name in chosen if in_groups(name)]
    return [*chosen, *grouped]


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


@METRICS.register("balanced_accuracy")
def _balanced_accuracy(part: Evaluated) -> float:
    """Mean recall over classes."""
    return _nanmean(part.per_class["recall"])


@METRICS.register("balanced_f1")
def _balanced_f1(part: Evaluated) -> float:
    """Mean over classes of F1 with the precision that equally large classes would give."""
    return _nanmean(part.per_class["balanced_f1"])


@METRICS.register("macro_f1")
def _macro_f1(part: Evaluated) -> float:
    """Mean F1 over classes."""
    return _nanmean(part.per_class["f1"])


@METRICS.register("auroc")
def _auroc(part: Evaluated) -> float:
    """Mean over classes of the area under the ROC curve, one class against the rest."""
    return _nanmean(part.per_class["auroc"])


@METRICS.register("auprc")
def _auprc(part: Evaluated) -> float:
    """Mean over classes of the average precision, one class against the rest."""
    return _nanmean(part.per_class["auprc"])


@METRICS.register("geometric_mean")
def _geometric_mean(part: Evaluated) -> float:
    """Geometric mean of recall over classes."""
    recall = part.per_class["recall"]
    # By logarithms: the product of many recalls is too small for a float.
    return 0.0 if recall.min() == 0 else float(np.exp(np.log(recall).mean()))


@METRICS.register("harmonic_mean")
def _harmonic_mean(part: Evaluated) -> float:
    """Harmonic mean of recall over classes."""
    recall = part.per_class["recall"]
    return 0.0 if recall.min() == 0 else float(len(recall) / (1 / recall).sum())


@METRICS.register("worst_class_recall")
def _worst_class_recall(part: Evaluated) -> float:
    """Least recall of any class."""
    return float(part.per_class["recall"].min())


@METRICS.register("accuracy")
def _accuracy(part: Evaluated) -> float:
    """Share of molecules that are classified right."""
    return _nanmean((part.labels == part.predicted).astype(float))


@METRICS.register("calibration_error", Metric(smaller_is_better=True))
def _calibration_error(part: Evaluated) -> float:
    """Expected calibration error over 15 bins (Guo et al., ICML 2017)."""
    return calibration_error(part.labels, part.predicted, part.probabilities.max(1))


@METRICS.register("mcc", Metric(groups=False))
def _mcc(part: Evaluated) -> float:
    """Matthews' correlation coefficient."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(part.labels, part.predicted))


@METRICS.register("cohen_kappa", Metric(groups=False))
def _cohen_kappa(part: Evaluated) -> float:
    """Cohen's kappa."""
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(part.labels, part.predicted))


def _nanmean(values: NDArray[np.float64]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
