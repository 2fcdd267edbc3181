"""Fingerprints of sequences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from drugtail.features.featurizer import FEATURIZERS, FingerprintFeaturizer

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
K, BITS = 3, 2048


@FEATURIZERS.register("kmers")
class Kmers(FingerprintFeaturizer):
    """Runs of three amino acids of a sequence, folded to 2,048 bits.

    Letters that are no standard amino acid count as one more.
    """

    reads = "sequence"

    def fingerprints(self, molecules: Iterator[str]) -> np.ndarray:
        """See `FingerprintFeaturizer.fingerprints`; of sequences."""
        codes = np.full(128, len(AMINO_ACIDS), dtype=np.int64)
        codes[[ord(letter) for letter in AMINO_ACIDS]] = range(len(AMINO_ACIDS))
        base = len(AMINO_ACIDS) + 1
        sequences = list(molecules)
        table = np.zeros((len(sequences), BITS), dtype=bool)
        for i, sequence in enumerate(sequences):
            letters = codes[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]
            if len(letters) >= K:
                windows = np.lib.stride_tricks.sliding_window_view(letters, K)
                table[i, windows @ base ** np.arange(K)[::-1] % BITS] = True
        return table
