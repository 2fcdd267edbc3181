"""Atoms and bonds as codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from drugtail.config.encoder import Form
from drugtail.features.arrays import Arrays
from drugtail.features.featurizer import FEATURIZERS, Featurizer


@FEATURIZERS.register("atoms")
class Atoms(Featurizer):
    """The molecular graph: eight facts of each atom (DGL-LifeSci), and the order of each bond."""

    form: ClassVar[Form] = "graph"

    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """See `Featurizer.arrays`."""
        from drugtail.features.reading import pack_atoms

        return pack_atoms(smiles)
