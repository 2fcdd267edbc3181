"""How fast this machine parses, featurizes and trains, on the demo data.

    python tests/benchmarks/throughput.py

Run it alone: another process on the machine changes every figure. Each figure is the median of
five repeats on one thread; ratios travel better between machines than the figures themselves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from rdkit import Chem

from drugtail.config import GraphEncoder
from drugtail.data.generate import generate_reactions
from drugtail.features.featurize import morgan_bits, pack_atoms
from drugtail.features.packed import GraphStore
from drugtail.models.network import Network
from drugtail.training.engine import batches

REPEATS = 5


def rate(work: Callable[[], object], molecules: int) -> float:
    """Median of molecules per second."""
    work()
    rates = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        rates.append(molecules / (time.perf_counter() - started))
    return statistics.median(rates)


def main() -> None:
    """Print molecules per second."""
    torch.set_num_threads(1)
    table = generate_reactions()
    smiles = table["smiles"].tolist()
    labels = torch.tensor(table["label"].tolist())
    arrays = pack_atoms(smiles)
    store = GraphStore(arrays, torch.device("cpu"))
    network = Network(GraphEncoder(name="gcn", kind="gcn"), 10, seed=0)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)

    def epoch(views: int) -> None:
        for drawn in batches(torch.randperm(len(smiles)), 128):
            rows = drawn.repeat(views)
            output = network(store.batch(rows), store.type_features)
            loss = torch.nn.functional.cross_entropy(output.logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    atoms = len(arrays["atoms"]) / len(smiles)
    print(f"{len(smiles)} molecules of {atoms:.1f} atoms, one thread, molecules per second")
    parse = rate(lambda: [Chem.MolFromSmiles(text) for text in smiles], len(smiles))
    for name, value in {
        "parse (RDKit alone, the limit)": parse,
        "parse and pack atoms": rate(lambda: pack_atoms(smiles), len(smiles)),
        "parse and Morgan fingerprints": rate(lambda: morgan_bits(smiles), len(smiles)),
    }.items():
        print(f"  {name:34} {value:9,.0f}   {value / parse:.2f} of parsing alone")
    for name, views in (("train, one view", 1), ("train, two views", 2)):
        print(f"  {name:34} {rate(lambda v=views: epoch(v), len(smiles)):9,.0f}")


if __name__ == "__main__":
    main()
