"""Morgan fingerprints of feature classes."""

from __future__ import annotations

from typing import Any

from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.generated import BITS, GeneratedBits

RADIUS = 2


@FEATURIZERS.register("morgan_feature")
class MorganFeature(GeneratedBits):
    """Morgan fingerprint of radius 2 on feature classes (FCFP4), folded to 2,048 bits.

    Atoms are donors, acceptors, aromatic, halogens, basic or acidic instead of elements.
    """

    def generator(self) -> Any:
        """See `GeneratedBits.generator`."""
        from rdkit.Chem.rdFingerprintGenerator import (
            GetMorganFeatureAtomInvGen,
            GetMorganGenerator,
        )

        return GetMorganGenerator(
            radius=RADIUS, fpSize=BITS, atomInvariantsGenerator=GetMorganFeatureAtomInvGen()
        )
