"""Estimators are kept without pickle, and what is not ours is not opened."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from drugtail.methods import classical
from drugtail.methods.ghost import THRESHOLDS, ghost_threshold
from drugtail.methods.kept import CannotBeKept, kept, restored
from drugtail.runtime.errors import DrugtailError

RNG = np.random.default_rng(0)
X = (RNG.random((120, 32)) < 0.3).astype(np.float32)
Y = np.repeat([0, 1, 2], 40)


class Mine(DecisionTreeClassifier):
    """An estimator that no allow-list knows."""


def as_file(one: dict[str, Any], folder: Path) -> dict[str, Any]:
    torch.save(one, folder / "one.pt")
    loaded: dict[str, Any] = torch.load(folder / "one.pt", weights_only=True)
    return loaded


def test_types_that_are_not_ours_are_neither_kept_nor_opened(tmp_path: Path) -> None:
    mine = Mine().fit(X, Y)
    with pytest.raises(CannotBeKept, match=r"test_kept\.Mine"):
        kept(mine)
    content = io.BytesIO()
    skops.io.dump(mine, content)
    crafted = {
        "form": "skops",
        "content": torch.frombuffer(bytearray(content.getvalue()), dtype=torch.uint8),
    }
    with pytest.raises(DrugtailError, match=r"m\.pt: holds .*Mine, which no model of ours does"):
        restored(as_file(crafted, tmp_path), lambda: None, 3, "m.pt")
    with pytest.raises(DrugtailError, match=r"as 'pickle', which is none of ours"):
        restored({"form": "pickle"}, lambda: None, 3, "m.pt")
    for form in ("skops", "lightgbm"):
        damaged = {"form": form, "content": torch.zeros(99, dtype=torch.uint8)}
        with pytest.raises(DrugtailError, match=r"m\.pt: its estimator cannot be read"):
            restored(damaged, lambda: None, 3, "m.pt")


def test_what_scikit_learn_trusts_by_itself_is_kept() -> None:
    one = kept(KMeans(3, n_init=1).fit(X))
    assert restored(one, lambda: None, 3, "m.pt").predict(X).shape == (120,)


@pytest.mark.parametrize(("field", "value"), [("left_child", 10**6), ("right_child", 0)])
def test_a_tree_that_leads_astray_is_refused(field: str, value: int) -> None:
    forest = RandomForestClassifier(3, random_state=0).fit(X, Y)
    tree = forest.estimators_[1].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    with pytest.raises(DrugtailError, match=r"m\.pt: a tree of it is damaged"):
        restored(kept(forest), lambda: None, 3, "m.pt")


def test_a_forest_that_would_outgrow_memory_gets_fewer_leaves_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = classical.CLASSIFIERS["random_forest"]
    settings = SimpleNamespace(n_estimators=10, class_weight=None, max_leaf_nodes=None)
    free = make(settings, 0, 1)
    classical.fit(free, X, Y)
    assert max(tree.get_n_leaves() for tree in free.estimators_) > 8
    assert capsys.readouterr().err == ""
    # 10 trees of 8 leaves: 16 nodes each, 64 bytes and three shares of classes for a node.
    monkeypatch.setattr(classical, "LARGEST_FOREST", 10 * 16 * (64 + 3 * 8))
    assert classical.most_leaves(10, 3) == 8
    limited = make(settings, 0, 1)
    classical.fit(limited, X, Y)
    assert {tree.get_n_leaves() for tree in limited.estimators_} == {8}
    assert "at most 8 leaves" in capsys.readouterr().err
    # A limit that no tree can reach changes nothing.
    monkeypatch.setattr(classical, "LARGEST_FOREST", 10 * 2 * 120 * (64 + 3 * 8))
    same = make(settings, 0, 1)
    classical.fit(same, X, Y)
    np.testing.assert_array_equal(same.predict_proba(X), free.predict_proba(X))
    chosen = SimpleNamespace(n_estimators=10, class_weight=None, max_leaf_nodes=5)
    own = make(chosen, 0, 1)
    classical.fit(own, X, Y)
    assert {tree.get_n_leaves() for tree in own.estimators_} == {5}


def test_the_threshold_of_ghost_is_the_one_of_a_plain_loop() -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(3)
    rare = rng.random(150) < 0.15
    probability = np.clip(rng.normal(0.12 + 0.2 * rare, 0.08), 0, 1)
    chosen = ghost_threshold(probability, rare, seed=5)
    groups = [np.flatnonzero(rare), np.flatnonzero(~rare)]
    generator = np.random.default_rng(5)
    kappas: dict[float, list[float]] = {float(one): [] for one in THRESHOLDS}
    for _ in range(100):
        parts = [generator.permutation(g)[: max(1, round(0.2 * len(g)))] for g in groups]
        subset = np.concatenate(parts)
        for threshold, found in kappas.items():
            found.append(cohen_kappa_score(rare[subset], probability[subset] >= threshold))
    medians = {one: np.median(np.nan_to_num(found)) for one, found in kappas.items()}
    best = max(medians.values())
    assert chosen == pytest.approx(max(one for one in medians if medians[one] == best))
    assert 0.1 < chosen < 0.4


def test_a_threshold_is_moved_only_where_something_speaks_for_it() -> None:
    rare = np.arange(60) < 15
    sure = np.where(rare, 0.9, 0.02)
    # Every threshold tells them apart: a half stays a half.
    assert ghost_threshold(sure, rare) == pytest.approx(0.5)
    assert ghost_threshold(np.where(rare, 0.31, 0.02), rare) == pytest.approx(0.3)
    # A fifth of so few says nothing.
    assert ghost_threshold(sure, np.arange(60) < 9) is None
    assert ghost_threshold(sure, np.arange(60) >= 9) is None
