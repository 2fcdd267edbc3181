"""Morgan fingerprints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from drugtail.features.featurizer import FEATURIZERS, FingerprintFeaturizer

RADIUS, BITS = 2, 2048


@FEATURIZERS.register("morgan")
class Morgan(FingerprintFeaturizer):
    """Morgan fingerprint of radius 2 (ECFP4), folded to 2,048 bits (Rogers, Hahn, 2010)."""

    def fingerprints(self, molecules: Iterator[Any]) -> np.ndarray:
        """See `FingerprintFeaturizer.fingerprints`."""
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        generator = GetMorganGenerator(radius=RADIUS, fpSize=BITS)
        rows = [generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]
        return np.stack(rows) if rows else np.empty((0, BITS), np.uint8)
