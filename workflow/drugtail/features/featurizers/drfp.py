"""DRFP, a fingerprint of whole reactions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drugtail.features.featurizer import FEATURIZERS, FingerprintFeaturizer
from drugtail.runtime.errors import DrugtailError

BITS = 2048


@FEATURIZERS.register("drfp")
class DRFP(FingerprintFeaturizer):
    """Substructures on one side of a reaction only, folded to 2,048 bits (DRFP).

    Circular substructures up to radius 3 and rings, from the package drfp (Probst, Schwaller,
    Reymond, Digital Discovery 2022, 1, 91). A reaction and its reverse look alike.
    """

    reads = "reaction"

    def fingerprints(self, molecules: Iterator[str]) -> np.ndarray:
        """See `FingerprintFeaturizer.fingerprints`; of reactions."""
        try:
            from drfp import DrfpEncoder
        except ImportError:
            raise DrugtailError(
                "featurizer 'drfp' needs the package drfp: pip install --no-deps drfp"
            ) from None
        reactions = list(molecules)
        rows = DrfpEncoder.encode(reactions, n_folded_length=BITS) if reactions else []
        return np.stack(rows) if len(rows) else np.empty((0, BITS), np.uint8)
