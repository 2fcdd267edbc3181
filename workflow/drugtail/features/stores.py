"""Stores by the form of features they keep, and features as a table of numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from drugtail.config.encoder import Form
from drugtail.features.arrays import Arrays
from drugtail.features.batch import Store
from drugtail.features.bits import BitStore, unpack_fingerprints
from drugtail.features.graph_and_vector import GraphAndVectorStore
from drugtail.features.packed import GraphStore
from drugtail.features.vectors import VectorStore

STORES: dict[Form, Callable[[Arrays, torch.device], Store]] = {
    "graph": GraphStore,
    "bits": BitStore,
    "vector": VectorStore,
    "graph_and_vector": GraphAndVectorStore,
}


def as_table(form: Form, arrays: Arrays, molecules: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return bits or vectors of some molecules as numbers, float32 [n, F]."""
    if form == "bits":
        return unpack_fingerprints(arrays["bits"][molecules])
    return np.asarray(arrays["values"][molecules], dtype=np.float32)
