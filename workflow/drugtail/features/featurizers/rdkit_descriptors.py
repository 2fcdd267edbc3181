"""RDKit's descriptors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from drugtail.features.featurizer import FEATURIZERS, VectorFeaturizer
from drugtail.runtime.logging import say

# It overflows; AvgIpc is the same per atom.
LEFT_OUT = ("Ipc",)
# Keeps what single precision and a normalisation can hold.
LARGEST = 1e6


@FEATURIZERS.register("rdkit_descriptors")
class RDKitDescriptors(VectorFeaturizer):
    """RDKit's two-dimensional descriptors, more than 200: sizes, counts, charges, surfaces.

    A value that RDKit cannot compute, such as a partial charge of a metal, is 0; how many there are
    is said. Larger ones than a million are cut.
    """

    def vectors(self, molecules: Iterator[Any]) -> np.ndarray:
        """See `VectorFeaturizer.vectors`."""
        from rdkit.Chem import Descriptors

        named = [(name, one) for name, one in Descriptors.descList if name not in LEFT_OUT]
        rows = [[_value(one, molecule) for _, one in named] for molecule in molecules]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(named))
        undefined = ~np.isfinite(table)
        if undefined.any():
            worst = sorted({named[column][0] for column in np.flatnonzero(undefined.any(axis=0))})
            shown = ", ".join(worst[:3]) + (", …" if len(worst) > 3 else "")
            say(
                f"{self.name}: {undefined.any(axis=1).sum()} of {len(rows)} molecules have "
                f"descriptors that RDKit cannot compute ({shown}); they are 0"
            )
        return np.where(undefined, 0.0, table).clip(-LARGEST, LARGEST)


def _value(descriptor: Any, molecule: Any) -> float:
    try:
        return float(descriptor(molecule))
    except (ValueError, ZeroDivisionError, OverflowError, RuntimeError):
        return float("nan")
