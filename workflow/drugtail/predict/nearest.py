"""The training molecule that is most similar to each molecule asked about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from drugtail.features.arrays import Arrays
from drugtail.features.bits import unpack_fingerprints
from drugtail.features.choice import make_featurizer

# What a model reads -> bits that similarity is computed of.
FINGERPRINTS = {"smiles": "morgan", "reaction": "drfp"}
# Bits that are counted by a product of matrices.
COMMON = 256
# Similarities that are held at a time.
HELD = 20_000_000
# Two molecules drawn at random are rarely more similar than this by Morgan bits of radius 2.
UNLIKE = 0.3


class Nearest(NamedTuple):
    """Position of the most similar training molecule, int64 [n], and its similarity, [n]."""

    position: NDArray[np.int64]
    similarity: NDArray[np.float32]


class TrainingMolecules:
    """Training molecules by their fingerprints, which `featurizer`, called `features`, gives.

    Similarity is Tanimoto's: bits that both have over bits that either has; of equally similar
    molecules the first is taken.
    """

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
        bits = _unpacked(self.featurizer.arrays(smiles))
        self._counts = bits.sum(1)
        # Most bits are set in few molecules: counting those sparsely, and the others as a product
        # of matrices, takes half the time of one product.
        order = bits.sum(0).argsort(descending=True)
        self._common, self._rare = order[:COMMON], order[COMMON:]
        self._with_common = bits[:, self._common].T.contiguous()
        self._with_rare = csr_matrix(bits[:, self._rare].T.numpy())

    def nearest(self, arrays: Arrays) -> Nearest:
        """Return the most similar training molecule of molecules, from their fingerprints."""
        bits = _unpacked(arrays)
        step = max(1, HELD // len(self._counts))
        found = [self._nearest(bits[start : start + step]) for start in range(0, len(bits), step)]
        return Nearest(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _nearest(self, bits: Tensor) -> Nearest:
        both = bits[:, self._common] @ self._with_common
        rare = (csr_matrix(bits[:, self._rare].numpy()) @ self._with_rare).tocoo()
        both.numpy()[rare.row, rare.col] += rare.data
        either = bits.sum(1, keepdim=True) + self._counts - both
        similarity, position = both.div_(either.clamp_(min=1)).max(1)
        return Nearest(position.numpy(), similarity.numpy())


def _unpacked(arrays: Arrays) -> Tensor:
    return torch.from_numpy(unpack_fingerprints(arrays["bits"]))
