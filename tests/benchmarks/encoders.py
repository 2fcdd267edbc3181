"""Molecules per second of every encoder in training, and of PyTorch Geometric's own loop.

    python tests/benchmarks/encoders.py [MOLECULES [ENCODER ...]]

One seed, batches of 128, one thread, plain cross-entropy, the embedded data. Ratios are to `gcn` of
the same run. For the encoders of PyTorch Geometric's layers the same module is trained once more
from its DataLoader, graph by graph, as its users would, and for `morgan_mlp` the same layers from a
matrix of fingerprints.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from drugtail.config.catalogue import Catalogue
from drugtail.config.encoder import EncoderSettings
from drugtail.config.training import Training
from drugtail.data.generate import generate_reactions
from drugtail.features.choice import make_featurizer
from drugtail.features.stores import STORES
from drugtail.models.network import Network
from drugtail.training.problem import TRAIN, Problem
from drugtail.training.seed_batch import SeedBatch

CATALOGUE = Catalogue(Path(__file__).resolve().parents[2] / "config")
CPU = torch.device("cpu")
EPOCHS, BATCH = 3, 128
LOOPED = ("gin", "gine", "gat", "attentivefp")


def problem_of(labels: np.ndarray) -> Problem:
    rows = np.arange(len(labels))
    cut = len(rows) * 9 // 10
    subsets = {TRAIN: rows[:cut], "valid": rows[cut:], "test": rows[cut:]}
    names = [str(c) for c in range(labels.max() + 1)]
    return Problem(
        "demo",
        "random-0",
        names,
        rows.astype(str),
        rows.astype(str),
        labels,
        subsets,
        rows,
        rows < 0,
    )


def ours(encoder: EncoderSettings, store: Any, problem: Problem) -> float:
    """Molecules per second of the fastest of some epochs."""
    training = Training(epochs=EPOCHS, batch_size=BATCH)
    recipe = CATALOGUE.recipe("cross_entropy")
    run = SeedBatch(problem, store, recipe, encoder, training, (0,), False)
    for _ in range(EPOCHS):
        run.train_epoch()
    return max(row["molecules_per_second"] for row in run.seeds[0].history)


def theirs(encoder: EncoderSettings, store: Any, problem: Problem) -> float:
    """The same of a plain loop over PyTorch Geometric's DataLoader."""
    network = Network(encoder, store.shape, problem.classes, [0])
    module: Any = network.encoder.__dict__["module"]
    head = nn.Sequential(
        *(layer for _ in encoder.head for layer in (
            nn.Linear(128, 128), nn.BatchNorm1d(128), nn.ReLU())),
        nn.Linear(128, problem.classes),
    )  # fmt: skip
    rows = problem.subsets[TRAIN]
    graphs = []
    for row in rows:
        found = store.batch(torch.tensor([[int(row)]])).of_seed(0)
        graphs.append(
            Data(x=found.x, edge_index=found.edge_index, edge_attr=found.edge_attr,
                 y=torch.tensor([problem.labels[row]]))
        )  # fmt: skip
    parameters = [*module.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    best = 0.0
    for _ in range(EPOCHS):
        started = time.monotonic()
        for batch in DataLoader(graphs, BATCH, shuffle=True):
            loss = nn.functional.cross_entropy(head(module(batch)), batch.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        best = max(best, len(rows) / (time.monotonic() - started))
    return best


def plain_mlp(encoder: EncoderSettings, store: Any, problem: Problem) -> float:
    """The same of a plain PyTorch loop over a matrix of fingerprints."""
    settings: Any = encoder
    rows = torch.from_numpy(problem.subsets[TRAIN])
    labels = torch.from_numpy(problem.labels)[rows]
    matrix = store.batch(rows[None]).dense()[0]
    widths = [matrix.shape[1], *[settings.width] * settings.layers, *settings.head]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        layers.append(nn.Dropout(settings.dropout))
    network = nn.Sequential(*layers, nn.Linear(widths[-1], problem.classes))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    best = 0.0
    for _ in range(EPOCHS):
        started = time.monotonic()
        for batch in torch.randperm(len(rows)).split(BATCH):
            loss = nn.functional.cross_entropy(network(matrix[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        best = max(best, len(rows) / (time.monotonic() - started))
    return best


def main() -> None:
    """Print a line for each encoder."""
    torch.set_num_threads(1)
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    table = generate_reactions().sample(number, random_state=0)
    labels = np.unique(table["reaction_class"], return_inverse=True)[1].astype(np.int64)
    problem, base = problem_of(labels), 0.0
    named = sys.argv[2:]
    names = [name for name in CATALOGUE.names("encoders") if CATALOGUE.encoder(name).network]
    names = [name for name in names if not named or name in named or name == "gcn"]
    for name in sorted(names, key=lambda one: one != "gcn"):
        encoder: Any = CATALOGUE.encoder(name)
        if name in ("reaction_mlp", "vector"):
            continue
        featurizer = make_featurizer(encoder.featurizer)
        store = STORES[featurizer.form](featurizer.arrays(table["smiles"].tolist()), CPU)
        rate = ours(encoder, store, problem)
        base = base or rate
        line = f"{name:22} {rate:8,.0f} molecules/s  ×{rate / base:.2f} of gcn"
        if name in LOOPED:
            line += f"  ×{rate / theirs(encoder, store, problem):.2f} of PyG's own loop"
        if name == "morgan_mlp":
            line += f"  ×{rate / plain_mlp(encoder, store, problem):.2f} of a plain loop"
        print(line, flush=True)


if __name__ == "__main__":
    main()
