"""A difference fingerprint of whole reactions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drugtail.features.featurizer import FEATURIZERS, VectorFeaturizer

NUMBERS = 2048


@FEATURIZERS.register("reaction_difference")
class ReactionDifference(VectorFeaturizer):
    """Atom pairs of the products minus those of the reactants, folded to 2,048 counts.

    RDKit's difference fingerprint (Schneider et al., J. Chem. Inf. Model. 2015, 55, 39), without
    agents.
    """

    reads = "reaction"

    def vectors(self, molecules: Iterator[str]) -> np.ndarray:
        """See `VectorFeaturizer.vectors`; of reactions."""
        from rdkit.Chem import rdChemReactions

        # Plain counts: weights only balance agents, of which there are none.
        settings = rdChemReactions.ReactionFingerprintParams(
            False, 0.0, 1, 1, NUMBERS, rdChemReactions.FingerprintType.AtomPairFP
        )
        rows = []
        for text in molecules:
            reaction = rdChemReactions.ReactionFromSmarts(text, useSmiles=True)
            counts = rdChemReactions.CreateDifferenceFingerprintForReaction(reaction, settings)
            row = np.zeros(NUMBERS, dtype=np.float32)
            found = counts.GetNonzeroElements()
            row[list(found)] = list(found.values())
            rows.append(row)
        return np.stack(rows) if rows else np.empty((0, NUMBERS), np.float32)
