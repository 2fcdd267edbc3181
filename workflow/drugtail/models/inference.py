"""Predicting with trained networks."""

from __future__ import annotations

import torch
from torch import Tensor

from drugtail.features.batch import Store
from drugtail.models.network import Network, Output

EVALUATION_BATCH = 1024


@torch.no_grad()
def predict(network: Network, store: Store, molecules: Tensor) -> Output:
    """Predict molecules of a store with every seed's network, logits in single precision.

    Parameters
    ----------
    network
        Of S seeds; it is put into evaluation mode.
    store
        All molecules.
    molecules
        Positions, int64 [S, n].
    """
    network.eval()
    outputs = [network(store.batch(rows)) for rows in molecules.split(EVALUATION_BATCH, dim=1)]
    uncertainty = [output.uncertainty for output in outputs if output.uncertainty is not None]
    return Output(
        embedding=torch.cat([output.embedding for output in outputs], dim=1),
        features=torch.cat([output.features for output in outputs], dim=1),
        experts=torch.cat([output.experts for output in outputs], dim=2),
        logits=torch.cat([output.logits.float() for output in outputs], dim=1),
        uncertainty=torch.cat(uncertainty, dim=1).float() if uncertainty else None,
    )
