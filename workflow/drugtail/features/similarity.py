"""Tanimoto similarity of fingerprints to those of some known molecules."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# Similarities that are held at a time.
HELD = 4_000_000


class Tanimoto:
    """Known molecules, ready to be compared with others.

    The similarity of two sets of bits is the number that both have over the number that either has
    (Rogers and Tanimoto, 1960); 0 where neither has any.

    Parameters
    ----------
    known
        Their fingerprints, 0 and 1, float32 [N, F].
    """

    def __init__(self, known: NDArray[np.float32]) -> None:
        self._known, self._counts = known, known.sum(axis=1)

    def to(self, asked: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield similarities of molecules [n, F] to all known ones, [·, N], some rows at a time."""
        step = max(1, HELD // max(1, len(self._counts)))
        for start in range(0, len(asked), step):
            yield self._of(asked[start : start + step])

    def _of(self, asked: NDArray[np.float32]) -> NDArray[np.float32]:
        both: NDArray[np.float32] = asked @ self._known.T
        either = asked.sum(axis=1)[:, None] + self._counts - both
        both /= np.maximum(either, 1, out=either)
        return both
