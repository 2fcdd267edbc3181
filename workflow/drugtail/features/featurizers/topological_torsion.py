"""Topological-torsion fingerprints."""

from __future__ import annotations

from typing import Any

from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.generated import BITS, GeneratedBits


@FEATURIZERS.register("topological_torsion")
class TopologicalTorsion(GeneratedBits):
    """Chains of four atoms, folded to 2,048 bits (Nilakantan et al., 1987)."""

    def generator(self) -> Any:
        """See `GeneratedBits.generator`."""
        from rdkit.Chem.rdFingerprintGenerator import GetTopologicalTorsionGenerator

        return GetTopologicalTorsionGenerator(fpSize=BITS)
