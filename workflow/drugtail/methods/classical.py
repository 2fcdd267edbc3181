"""Estimators on fingerprints, from scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drugtail.methods.registry import Registry

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

CLASSIFIERS: Registry[Any] = Registry("classifier")
# A tree that never saw a class gives it probability 0, whose logarithm tables cannot hold.
SMALLEST_PROBABILITY = 1e-6


@CLASSIFIERS.register("random_forest")
def random_forest(settings: Any, seed: int, threads: int) -> RandomForestClassifier:
    """scikit-learn's random forest.

    Parameters
    ----------
    settings
        ``trees`` and ``class_weight``.
    seed
        Seed of the forest, in [0, 2**32).
    threads
        Threads to fit and predict with; the result does not depend on it.
    """
    # Takes a second to import, which the training of networks need not wait for.
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=settings.trees,
        class_weight=settings.class_weight,
        random_state=seed,
        n_jobs=threads,
    )


def log_probabilities(classifier: Any, x: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Logarithms of predicted probabilities, [N, C], as logits; floored at log 1e-6."""
    probabilities = np.zeros((len(x), classes))
    probabilities[:, classifier.classes_] = classifier.predict_proba(x)
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)).astype(np.float32)
