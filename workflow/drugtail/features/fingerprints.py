"""Morgan fingerprints as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def unpack_fingerprints(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return packed fingerprints, uint8 [N, bits / 8], as 0 and 1, float32 [N, bits]."""
    return np.unpackbits(bits, axis=1).astype(np.float32)
