"""Morgan fingerprints with counts."""

from __future__ import annotations

from typing import Any

from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.generated import BITS, GeneratedCounts

RADIUS = 2


@FEATURIZERS.register("morgan_count")
class MorganCount(GeneratedCounts):
    """How often each feature of the Morgan fingerprint of radius 2 occurs (ECFC4), 2,048 counts."""

    def generator(self) -> Any:
        """See `GeneratedCounts.generator`."""
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        return GetMorganGenerator(radius=RADIUS, fpSize=BITS)
