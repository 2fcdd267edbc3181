"""MACCS keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from drugtail.features.featurizer import FEATURIZERS, FingerprintFeaturizer

KEYS = 167


@FEATURIZERS.register("maccs")
class MACCS(FingerprintFeaturizer):
    """The 166 public MACCS keys (Durant et al., 2002); RDKit's bit 0 is never set."""

    def fingerprints(self, molecules: Iterator[Any]) -> np.ndarray:
        """See `FingerprintFeaturizer.fingerprints`."""
        from rdkit.Chem.rdMolDescriptors import GetMACCSKeysFingerprint
        from rdkit.DataStructs import ConvertToNumpyArray

        rows = []
        for molecule in molecules:
            row = np.zeros(KEYS, np.uint8)
            ConvertToNumpyArray(GetMACCSKeysFingerprint(molecule), row)
            rows.append(row)
        return np.stack(rows) if rows else np.empty((0, KEYS), np.uint8)
