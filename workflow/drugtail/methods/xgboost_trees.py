"""XGBoost's boosted trees, kept as its own format."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drugtail.methods.optional import optional
from drugtail.runtime.errors import DrugtailError

# XGBoost's own: JSON in binary (UBJSON).
FORMAT = "ubj"


class XGBoostTrees:
    """XGBoost (Chen and Guestrin, KDD 2016) with weights of classes; only columns are random.

    Bits are given as a sparse table, in which a bit that is not set is missing. The trees are those
    of the full table, and found several times as fast.

    Parameters
    ----------
    rounds
        Rounds of boosting; each has a tree per class.
    balanced
        Whether a molecule has the weight N / (C n_c), as scikit-learn's ``balanced``.
    threads
        Threads to fit with; the result does not depend on it.
    parameters
        What ``xgboost.train`` is given besides.
    """

    def __init__(self, rounds: int, balanced: bool, threads: int, **parameters: Any) -> None:
        with optional("xgboost-cpu"):
            import xgboost

        self._library: Any = xgboost
        self.rounds, self.balanced = rounds, balanced
        self.n_jobs, self.parameters = threads, parameters

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, as scikit-learn's estimators do."""
        return {"rounds": self.rounds, "balanced": self.balanced, **self.parameters}

    def fit(self, x: NDArray[np.float32], y: NDArray[np.int64]) -> XGBoostTrees:
        """Fit to x, [N, F], and classes, [N]."""
        self.classes_, labels = np.unique(y, return_inverse=True)
        counts = np.bincount(labels)
        weights = len(labels) / (len(counts) * counts[labels]) if self.balanced else None
        self.missing_ = 0.0 if np.isin(x, (0, 1)).all() else np.nan
        self.features_ = x.shape[1]
        given = {**self.parameters, "nthread": self.n_jobs, "num_class": len(counts)}
        table = self._table(x, labels, weights)
        self.trees_ = self._library.train(
            {**given, "objective": "multi:softprob"}, table, self.rounds
        )
        return self

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities, [n, C]."""
        if x.shape[1] != self.features_:
            raise DrugtailError(
                f"{x.shape[1]:,} numbers per molecule; trained on {self.features_:,}"
            )
        self.trees_.set_param({"nthread": self.n_jobs})
        found: NDArray[np.float64] = self.trees_.predict(self._table(x)).astype(np.float64)
        return found.reshape(len(x), len(self.classes_))

    def predict(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the most probable class, [n]."""
        chosen: NDArray[Any] = self.classes_[self.predict_proba(x).argmax(axis=1)]
        return chosen

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is kept of it: the trees in XGBoost's own format, and the classes."""
        content = zlib.compress(bytes(self.trees_.save_raw(FORMAT)))
        return {
            "trees": np.frombuffer(bytearray(content), np.uint8), "classes": self.classes_,
            "features": np.array([self.features_]), "missing": np.array([self.missing_]),
        }  # fmt: skip

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `arrays` returned."""
        self.classes_, self.missing_ = arrays["classes"], float(arrays["missing"][0])
        self.features_ = int(arrays["features"][0])
        content = zlib.decompress(arrays["trees"].tobytes())
        self.trees_ = self._library.Booster(model_file=bytearray(content))

    def _table(
        self,
        x: NDArray[np.float32],
        labels: NDArray[np.int64] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> Any:
        from scipy.sparse import csr_matrix

        # Values that are not stored are missing.
        values = csr_matrix(x) if self.missing_ == 0 else x
        return self._library.DMatrix(values, labels, weight=weights, nthread=self.n_jobs)
