"""Reading Morgan fingerprints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drugtail.features.packed import load_arrays


def load_fingerprints(folder: Path, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the fingerprints of some molecules as 0 and 1, float32 [rows, 2048]."""
    bits = load_arrays(folder, ("bits",))["bits"]
    return np.unpackbits(bits[rows], axis=1).astype(np.float32)
