"""Batches of a few molecules."""

from __future__ import annotations

import torch
from torch import Tensor

from drugtail.config.components.views import Drop
from drugtail.features.packed import GraphBatch, GraphStore
from drugtail.methods.views import drop
from drugtail.runtime.draws import Draws, step_keys

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O", "[Xe]", "CCO", "OCC", "[Na+].[Cl-]", "C1CC1N", "c1ccc2ccccc2c1",
    "CS(C)(=O)=O", "CCCCCCCC", "CC(C)(C)C", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "CCN(CC)CC", "c1ccccc1",
    "CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "BrCCBr", "CO",
]  # fmt: skip


def cut(store: GraphStore, rows: list[int] | Tensor) -> GraphBatch:
    """A batch of one seed."""
    return store.batch(torch.as_tensor(rows)[None])


def one_of(batch: GraphBatch, seed: int = 0) -> GraphBatch:
    return batch.with_tensors(tensor[seed] for tensor in batch.tensors())


def view_of(batch: GraphBatch, seed: int) -> Tensor:
    """Entries of a random view of every seed of a batch."""
    keys = step_keys(seed, len(batch.row), batch.row.device)
    rates = Drop(rates=[0.4, 0.2])
    return torch.stack([drop(rates, one_of(batch, i), Draws(key)) for i, key in enumerate(keys)])
