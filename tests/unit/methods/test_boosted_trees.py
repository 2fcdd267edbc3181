"""Boosted trees on many classes, of which some have a few molecules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from project import PROJECT

from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue
from drugtail.methods.classical import CLASSIFIERS
from drugtail.runtime.errors import DrugtailError


def sixty_classes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bits of molecules that are known and of new ones, [N, 128], and their classes, [N]."""
    rng = np.random.default_rng(0)
    sizes = np.maximum(3, 500 * 0.85 ** np.arange(60)).astype(int)
    y = np.repeat(np.arange(60), sizes)
    typical = rng.random((60, 128)) < 0.2
    known, new = (
        (typical[y] ^ (rng.random((len(y), 128)) < 0.1)).astype(np.float32) for _ in range(2)
    )
    return known, new, y


@pytest.mark.parametrize("method", ["xgboost", "xgboost_unweighted"])
def test_xgboost_learns_sixty_classes_from_bits_and_numbers_alike(method: str) -> None:
    known, new, y = sixty_classes()
    settings = Catalogue(PROJECT / "config").recipe(method).classifier
    assert settings is not None
    settings = merged(settings, {"n_estimators": 40})

    def fitted(scale: float) -> Any:
        return CLASSIFIERS[settings.name](settings, 0, 1).fit(known * scale, y)

    trees = fitted(1.0)
    assert (trees.predict(new) == y).mean() > 0.95
    # Twice a bit is a number: the full table gives the trees that the sparse one did.
    np.testing.assert_allclose(
        fitted(2.0).predict_proba(2 * new), trees.predict_proba(new), rtol=1e-5, atol=1e-7
    )


def test_xgboost_keeps_classes_by_their_own_numbers_and_what_a_missing_value_is() -> None:
    known, new, y = sixty_classes()
    keep = y < 6
    settings = merged(
        Catalogue(PROJECT / "config").recipe("xgboost"), {"classifier.n_estimators": 5}
    ).classifier
    assert settings is not None
    # Classes are numbered 2, 5, 8, … where others have no molecule to learn from.
    for scale in (1.0, 0.5):
        trees = CLASSIFIERS[settings.name](settings, 0, 1).fit(scale * known[keep], 3 * y[keep] + 2)
        again = CLASSIFIERS[settings.name](settings, 1, 1)
        again.load_arrays(trees.arrays())
        assert again.classes_.tolist() == [2, 5, 8, 11, 14, 17]
        asked = scale * new[keep]
        np.testing.assert_array_equal(again.predict_proba(asked), trees.predict_proba(asked))
        np.testing.assert_array_equal(again.predict(asked), trees.predict(asked))
        with pytest.raises(DrugtailError, match=r"127 numbers per molecule; trained on 128"):
            again.predict_proba(asked[:, 1:])


@pytest.mark.parametrize("method", ["lightgbm", "lightgbm_unweighted"])
def test_sixty_classes_are_learned_though_leaves_may_be_small(method: str) -> None:
    known, new, y = sixty_classes()

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
