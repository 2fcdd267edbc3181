"""Atom-pair fingerprints."""

from __future__ import annotations

from typing import Any

from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.generated import BITS, GeneratedBits


@FEATURIZERS.register("atom_pair")
class AtomPair(GeneratedBits):
    """Pairs of atoms with the bonds between them, folded to 2,048 bits (Carhart et al., 1985)."""

    def generator(self) -> Any:
        """See `GeneratedBits.generator`."""
        from rdkit.Chem.rdFingerprintGenerator import GetAtomPairGenerator

        return GetAtomPairGenerator(fpSize=BITS)
