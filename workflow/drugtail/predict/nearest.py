"""The training molecule that is most similar to each molecule asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drugtail.features.arrays import Arrays
from drugtail.features.bits import unpack_fingerprints
from drugtail.features.choice import make_featurizer
from drugtail.features.similarity import Tanimoto

# What a model reads -> bits that similarity is computed of.
FINGERPRINTS = {"smiles": "morgan", "reaction": "drfp"}
# Two molecules drawn at random are rarely more similar than this by Morgan bits of radius 2.
UNLIKE = 0.3


class Nearest(NamedTuple):
    """Position of the most similar training molecule, int64 [n], and its similarity, [n]."""

    position: NDArray[np.int64]
    similarity: NDArray[np.float32]


class TrainingMolecules:
    """Training molecules by their fingerprints, which `featurizer`, called `features`, gives."""

    def __init__(self, smiles: Sequence[str], reads: str) -> None:
        """Fingerprint training molecules (or reactions).

        Parameters
        ----------
        smiles
            Canonical SMILES, or reactions, [N].
        reads
            ``smiles`` or ``reaction``.
        """
        self.features = FINGERPRINTS[reads]
        self.featurizer = make_featurizer(self.features, reads=reads)
        bits = self.featurizer.arrays(smiles)["bits"]
        self._similarity = Tanimoto(unpack_fingerprints(bits))

    def nearest(self, arrays: Arrays) -> Nearest:
        """Return the most similar training molecule of molecules, from their fingerprints.

        Of equally similar ones it is the first.
        """
        found = [
            Nearest(position := piece.argmax(axis=1), piece[np.arange(len(piece)), position])
            for piece in self._similarity.to(unpack_fingerprints(arrays["bits"]))
        ]
        return Nearest(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
