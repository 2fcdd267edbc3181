"""Nearest neighbours by Tanimoto similarity, against RDKit and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import DataStructs
from rdkit.DataStructs import ExplicitBitVect
from sklearn.neighbors import KNeighborsClassifier

from drugtail.features import similarity
from drugtail.methods.nearest_neighbours import TanimotoNeighbours
from drugtail.runtime.errors import DrugtailError


def drawn(seed: int, n: int = 40, bits: int = 32) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return (rng.random((n, bits)) < 0.3).astype(np.float32), rng.integers(0, 3, n) * 2


def vector(row: np.ndarray) -> ExplicitBitVect:
    found = ExplicitBitVect(len(row))
    found.SetBitsFromList(np.flatnonzero(row).tolist())
    return found


@given(seed=st.integers(0, 10**6), k=st.integers(1, 8), weighted=st.booleans())
@settings(max_examples=30, deadline=None)
def test_votes_are_those_of_a_loop_over_rdkits_similarities(
    seed: int, k: int, weighted: bool
) -> None:
    x, y = drawn(seed)
    asked, _ = drawn(seed + 1, n=7)
    one = TanimotoNeighbours(k, "similarity" if weighted else "uniform").fit(x, y)
    kept = [vector(row) for row in x]
    for row, found in zip(asked, one.predict_proba(asked), strict=True):
        similar = DataStructs.BulkTanimotoSimilarity(vector(row), kept)
        nearest = sorted(range(len(x)), key=lambda i: (-similar[i], i))[:k]
        votes = dict.fromkeys(one.classes_.tolist(), 0.0)
        even = not weighted or sum(similar[i] for i in nearest) == 0
        for i in nearest:
            votes[int(y[i])] += 1.0 if even else similar[i]
        wanted = np.array(list(votes.values())) / sum(votes.values())
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


def test_it_is_scikit_learns_with_jaccard_distances_where_none_are_equal() -> None:
    x, y = drawn(3, n=60, bits=300)
    asked, _ = drawn(4, n=20, bits=300)
    plain = KNeighborsClassifier(1, metric="jaccard").fit(x.astype(bool), y)
    mine = TanimotoNeighbours(1).fit(x, y)
    assert (plain.predict(asked.astype(bool)) == mine.predict(asked)).mean() > 0.9


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = drawn(5)
    one = TanimotoNeighbours(3).fit(x, y)
    whole = one.predict_proba(x)
    monkeypatch.setattr(similarity, "HELD", 100)
    np.testing.assert_array_equal(one.predict_proba(x), whole)


def test_a_molecule_that_is_like_none_gets_the_votes_of_its_neighbours_alike() -> None:
    x = np.eye(4, dtype=np.float32)
    one = TanimotoNeighbours(2).fit(x, np.array([0, 1, 1, 1]))
    np.testing.assert_allclose(one.predict_proba(np.zeros((1, 4), np.float32)), [[0.5, 0.5]])


def test_numbers_that_are_no_bits_are_refused() -> None:
    with pytest.raises(DrugtailError, match="read bits; name an encoder of a fingerprint"):
        TanimotoNeighbours().fit(np.array([[0.5, 1.0]], np.float32), np.array([0]))
