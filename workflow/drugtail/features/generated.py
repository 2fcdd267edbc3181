"""Fingerprints that RDKit's generators make."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from drugtail.features.featurizer import FingerprintFeaturizer, VectorFeaturizer

BITS = 2048


class GeneratedBits(FingerprintFeaturizer):
    """A fingerprint of one of RDKit's generators, folded to 2,048 bits."""

    @abstractmethod
    def generator(self) -> Any:
        """Return the generator."""

    def fingerprints(self, molecules: Iterator[Any]) -> np.ndarray:
        """See `FingerprintFeaturizer.fingerprints`."""
        read = self.generator().GetFingerprintAsNumPy
        rows = [read(molecule) for molecule in molecules]
        return np.stack(rows) if rows else np.empty((0, BITS), np.uint8)


class GeneratedCounts(VectorFeaturizer):
    """The same with counts, at most 255 each."""

    @abstractmethod
    def generator(self) -> Any:
        """Return the generator."""

    def vectors(self, molecules: Iterator[Any]) -> np.ndarray:
        """See `VectorFeaturizer.vectors`."""
        read = self.generator().GetCountFingerprintAsNumPy
        rows = [np.minimum(read(molecule), 255).astype(np.uint8) for molecule in molecules]
        return np.stack(rows) if rows else np.empty((0, BITS), np.uint8)
