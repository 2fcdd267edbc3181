"""Nearest neighbours by Tanimoto similarity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drugtail.features.similarity import Tanimoto
from drugtail.runtime.errors import DrugtailError


class TanimotoNeighbours:
    """Votes of the k most similar training molecules.

    Similarity is that of `drugtail.features.similarity`. Of equally similar molecules those that
    come first are taken. scikit-learn's own neighbours would compute it bit by bit.

    Parameters
    ----------
    n_neighbors
        k.
    weights
        ``similarity``: a neighbour votes with its similarity; ``uniform``: with 1.
    """

    def __init__(self, n_neighbors: int = 5, weights: str = "similarity") -> None:
        self.n_neighbors, self.weights = n_neighbors, weights

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, as scikit-learn's estimators do."""
        return {"n_neighbors": self.n_neighbors, "weights": self.weights}

    def fit(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> TanimotoNeighbours:
        """Keep the training molecules, bits [N, F] and classes [N]."""
        if not np.isin(x, (0, 1)).all():
            raise DrugtailError(
                "nearest neighbours by Tanimoto similarity read bits; name an encoder of a "
                "fingerprint, such as morgan"
            )
        self.classes_, self.labels_ = np.unique(y, return_inverse=True)
        self.bits_, self.similarity_ = np.packbits(x.astype(bool), axis=1), Tanimoto(x)
        self.features_ = x.shape[1]
        return self

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is kept of it: the training molecules, their bits packed."""
        return {
            "bits": self.bits_, "features": np.array([self.features_]), "labels": self.labels_,
            "classes": self.classes_,
        }  # fmt: skip

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `arrays` returned."""
        x = np.unpackbits(arrays["bits"], axis=1, count=int(arrays["features"][0]))
        self.fit(x.astype(np.float32), arrays["classes"][arrays["labels"]])

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the shares of the votes that each class has, [n, C]."""
        found = [self._votes(similar) for similar in self.similarity_.to(x)]
        return np.concatenate(found) if found else np.zeros((0, len(self.classes_)))

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class with most votes, [n]."""
        chosen: NDArray[Any] = self.classes_[self.predict_proba(x).argmax(axis=1)]
        return chosen

    def _votes(self, similar: NDArray[np.float32]) -> NDArray[np.float64]:
        """Shares of the votes, [n, C], from similarities to the training molecules, [n, N]."""
        k = min(self.n_neighbors, similar.shape[1])
        nearest = np.argsort(-similar, axis=1, kind="stable")[:, :k]
        strength = np.take_along_axis(similar, nearest, axis=1).astype(np.float64)
        # Where nothing is alike, all neighbours vote alike.
        alike = (strength.sum(axis=1) == 0) | (self.weights == "uniform")
        strength[alike] = 1.0
        votes = np.zeros((len(similar), len(self.classes_)))
        np.add.at(votes, (np.arange(len(similar))[:, None], self.labels_[nearest]), strength)
        shares: NDArray[np.float64] = votes / votes.sum(axis=1, keepdims=True)
        return shares
