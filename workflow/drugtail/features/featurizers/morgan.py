"""Morgan fingerprints."""

from __future__ import annotations

from typing import Any

from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.generated import BITS, GeneratedBits

RADIUS = 2


@FEATURIZERS.register("morgan")
class Morgan(GeneratedBits):
    """Morgan fingerprint of radius 2 (ECFP4), folded to 2,048 bits (Rogers, Hahn, 2010)."""

    def generator(self) -> Any:
        """See `GeneratedBits.generator`."""
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        return GetMorganGenerator(radius=RADIUS, fpSize=BITS)
