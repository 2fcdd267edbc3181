"""Morgan fingerprints with counts."""

from __future__ import annotations

from typing import Any

from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.generated import BITS, GeneratedCounts

RADIUS = 2


@FEATURIZERS.register("morgan_count")
class MorganCount(GeneratedCounts):
    """Counts of the features of the Morgan fingerprint of radius 2 (ECFC4), folded to 2,048."""

    def generator(self) -> Any:
        """See `GeneratedCounts.generator`."""
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        return GetMorganGenerator(radius=RADIUS, fpSize=BITS)
