"""How fast this machine parses, featurizes and trains, on the demo data.

    python tests/benchmarks/throughput.py [--threads 1]

Run it alone: another process on the machine changes every figure. Each figure is the median of
five repeats, those that are compared in turns; ratios travel better between machines than the
figures themselves. Parsing and featurizing use one thread whatever is said.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from rdkit import Chem
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch_geometric.loader import DataLoader

from drugtail.config import GraphEncoder
from drugtail.data.generate import generate_reactions
from drugtail.features.featurize import morgan_bits, pack_atoms
from drugtail.features.packed import GraphStore
from drugtail.models.network import Network
from drugtail.training.engine import batches

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import PlainNetwork, separate_graphs

REPEATS = 5
BATCH = 128


def rates(work: Mapping[str, Callable[[], object]], molecules: int) -> dict[str, float]:
    """Median of molecules per second of each; all of them are run once in every repeat."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(REPEATS + 1):
        for name, function in work.items():
            started = time.perf_counter()
            function()
            if repeat:  # The first one warms up.
                found[name].append(molecules / (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in found.items()}


def show(found: dict[str, float]) -> None:
    """Print each rate and its multiple of the first one."""
    first = next(iter(found.values()))
    for name, value in found.items():
        print(f"  {name:44} {value:9,.0f}   {value / first:.2f}")


def epochs(smiles: list[str], labels: Tensor) -> dict[str, Callable[[], None]]:
    """Training for one epoch, in the usual way and in ours: same model, loss and optimiser."""
    store = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    network = Network(GraphEncoder(name="gcn", kind="gcn"), int(labels.max()) + 1, seed=0)
    plain = PlainNetwork(network)
    graphs = separate_graphs(store, labels)
    mine, theirs = (torch.optim.Adam(n.parameters(), fused=True) for n in (network, plain))

    def step(optimizer: torch.optim.Optimizer, logits: Tensor, labels: Tensor) -> None:
        loss = cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def usual() -> None:
        for data in DataLoader(graphs, batch_size=BATCH, shuffle=True):
            step(theirs, plain(data), data.y)

    def ours(views: int) -> None:
        for drawn in batches(torch.randperm(len(store)), BATCH):
            rows = drawn.repeat(views)
            step(mine, network(store.batch(rows), store.type_features).logits, labels[rows])

    return {
        "PyTorch Geometric, its layers and DataLoader": usual,
        "one view": lambda: ours(1),
        "two views": lambda: ours(2),
    }


def main() -> None:
    """Print molecules per second."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    table = generate_reactions()
    smiles, labels = table["smiles"].tolist(), torch.tensor(table["label"].tolist())
    atoms = len(pack_atoms(smiles)["atoms"]) / len(smiles)
    print(f"{len(smiles)} molecules of {atoms:.1f} atoms, molecules per second")
    print("featurizing, and as a multiple of parsing alone")
    featurizing: dict[str, Callable[[], object]] = {
        "parse (RDKit alone, the limit)": lambda: [Chem.MolFromSmiles(text) for text in smiles],
        "parse and pack atoms": lambda: pack_atoms(smiles),
        "parse and Morgan fingerprints": lambda: morgan_bits(smiles),
    }
    show(rates(featurizing, len(smiles)))
    print(f"training, {threads} thread(s), and as a multiple of the usual loop")
    show(rates(epochs(smiles, labels), len(smiles)))


if __name__ == "__main__":
    main()
