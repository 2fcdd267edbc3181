"""Boosted trees on many classes, of which some have a few molecules."""

from __future__ import annotations

import numpy as np
import pytest
from project import PROJECT

from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue
from drugtail.methods.classical import CLASSIFIERS


@pytest.mark.parametrize("method", ["lightgbm", "lightgbm_unweighted"])
def test_sixty_classes_are_learned_though_leaves_may_be_small(method: str) -> None:
    rng = np.random.default_rng(0)
    sizes = np.maximum(3, 500 * 0.85 ** np.arange(60)).astype(int)
    y = np.repeat(np.arange(60), sizes)
    typical = rng.random((60, 128)) < 0.2
    known, new = (
        (typical[y] ^ (rng.random((len(y), 128)) < 0.1)).astype(np.float32) for _ in range(2)
    )

    def accuracy(x: np.ndarray, **changes: float) -> float:
        changed = {"classifier.min_child_samples": 5, "classifier.n_estimators": 40, **changes}
        settings = merged(Catalogue(PROJECT / "config").recipe(method), changed).classifier
        assert settings is not None
        trees = CLASSIFIERS[settings.name](settings, 0, 1).fit(known, y)
        return float((trees.predict(x) == y).mean())

    assert accuracy(new) > 0.95
    if method == "lightgbm_unweighted":
        # What the penalty is there for: without it even the molecules learned from are mistaken.
        assert accuracy(known, **{"classifier.reg_lambda": 0.0}) < 0.8
