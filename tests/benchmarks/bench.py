"""What featurizing, training, re-clustering and starting cost on this machine.

    python tests/benchmarks/bench.py [--output results/benchmarks] [--only training ...]

Run it alone: another process on the machine changes every figure. Figures are medians of five
repeats with the smallest and largest beside them; those that are compared are taken in turns, so
that a slow minute of the machine is everybody's. Ratios travel better between machines than the
figures themselves. Data are the demo's. Writes bench.json and bench.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rdkit import Chem
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch_geometric.loader import DataLoader

from drugtail.config.catalogue import Catalogue
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.data.generate import generate_reactions
from drugtail.features.featurize import CHUNK
from drugtail.features.featurizers.morgan import Morgan
from drugtail.features.packed import GraphStore
from drugtail.features.reading import pack_atoms
from drugtail.geometry.class_geometry import cluster_classes, take_geometry
from drugtail.models.companion import Companion
from drugtail.models.network import Network
from drugtail.runtime.draws import step_keys
from drugtail.runtime.files import write_json, write_text
from drugtail.runtime.manifest import describe_host, git_commit
from drugtail.runtime.parquet import read_parquet
from drugtail.training.objective import Objective
from drugtail.training.pool import batches

sys.path.insert(0, str(Path(__file__).parents[1]))
from reference import ATOMS, PlainNetwork, separate_graphs

PROJECT = Path(__file__).parents[2]
REPEATS = 5
BATCH = 128
SEEDS = 5
ENCODER = GraphEncoder(name="gcn", kind="gcn")
CORES = os.cpu_count() or 1


@dataclass(frozen=True)
class Figure:
    """One measured quantity.

    Attributes
    ----------
    name, unit : str
        What it is.
    median, low, high : float
        Over the repeats.
    ratio : float or None
        Multiple of the first figure of its section.
    """

    name: str
    unit: str
    median: float
    low: float
    high: float
    ratio: float | None = None


def in_turns(work: Mapping[str, Callable[[], float]], unit: str) -> list[Figure]:
    """Call every function once in each repeat; each returns what it measured."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(REPEATS + 1):
        for name, function in work.items():
            value = function()
            if repeat:  # The first one warms up.
                found[name].append(value)
    medians = {name: statistics.median(values) for name, values in found.items()}
    first = next(iter(medians.values()))
    return [
        Figure(name, unit, medians[name], min(values), max(values), medians[name] / first)
        for name, values in found.items()
    ]


def seconds(work: Callable[[], object]) -> float:
    """Time that one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def demo() -> tuple[list[str], Tensor]:
    """SMILES and classes of the demo data."""
    table = generate_reactions()
    return table["smiles"].tolist(), torch.tensor(table["label"].tolist())


# ------------------------------------------------------------------------------- sections


def featurizing() -> list[Figure]:
    """Molecules per second of one process, and as a multiple of parsing alone."""
    smiles, _ = demo()
    chunks = [smiles[start : start + CHUNK] for start in range(0, len(smiles), CHUNK)]
    work: dict[str, Callable[[], object]] = {
        "parse (RDKit alone)": lambda: [Chem.MolFromSmiles(text) for text in smiles],
        "parse and pack atoms": lambda: [pack_atoms(chunk) for chunk in chunks],
        "parse and Morgan fingerprints": lambda: [Morgan().arrays(chunk) for chunk in chunks],
    }
    return in_turns(
        {name: lambda f=f: len(smiles) / seconds(f) for name, f in work.items()}, "molecules/s"
    )


def usual_epoch(graphs: list, network: PlainNetwork) -> Callable[[], None]:
    """An epoch as a user of PyTorch Geometric writes it."""
    optimizer = torch.optim.Adam(network.parameters())

    def epoch() -> None:
        for data in DataLoader(graphs, batch_size=BATCH, shuffle=True):
            loss = cross_entropy(network(data), data.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def our_epoch(
    store: GraphStore,
    labels: Tensor,
    method: str,
    epoch: int = 0,
    seeds: int = 1,
    fixed: bool = False,
) -> Callable[[], None]:
    """An epoch of a method of the catalogue, with what its objective needs beforehand."""
    recipe, classes = Catalogue(PROJECT / "config").recipe(method), int(labels.max()) + 1
    network = Network(ENCODER, ATOMS, classes, range(seeds))
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    objective = Objective(recipe, torch.arange(len(labels)), labels, classes, 1.0, seeds)
    companion = Companion(recipe, network, classes, range(seeds))
    generator = torch.Generator().manual_seed(0)
    if recipe.needs_geometry:
        x = torch.randn(len(labels), ENCODER.width, generator=generator)
        for seed in range(seeds):
            objective.classes.refresh(seed, x, x[:9], labels[:9], seed=0)

    def run() -> None:
        order = torch.stack([torch.randperm(len(labels)) for _ in range(seeds)])
        pieces = batches(order, BATCH)
        keys = torch.stack([step_keys(s, len(pieces), store.device) for s in range(seeds)], dim=1)
        sizes = {}
        if fixed:
            views = 1 if recipe.views is None else 2
            for length in {piece.shape[1] for piece in pieces}:
                alike = torch.stack([piece for piece in pieces if piece.shape[1] == length])
                sizes[length] = store.size_of(alike.repeat(1, 1, views))
        for drawn, key in zip(pieces, keys, strict=True):
            size = sizes.get(drawn.shape[1])
            losses = objective(network, companion, store, drawn, epoch, key, size)
            optimizer.zero_grad()
            losses.total.sum().backward()
            optimizer.step()

    return run


def batching() -> list[Figure]:
    """Molecules per second of putting batches of 128 together, on one thread."""
    torch.set_num_threads(1)
    smiles, labels = demo()
    store = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    loader = DataLoader(separate_graphs(store, labels), batch_size=BATCH, shuffle=True)

    def cut(seeds: int) -> None:
        order = torch.stack([torch.randperm(len(labels)) for _ in range(seeds)])
        for rows in batches(order, BATCH):
            store.batch(rows)

    return in_turns(
        {
            "PyTorch Geometric's DataLoader": lambda: len(labels) / seconds(lambda: list(loader)),
            "cut from packed arrays": lambda: len(labels) / seconds(lambda: cut(1)),
            f"cut for {SEEDS} seeds at once": lambda: (
                SEEDS * len(labels) / seconds(lambda: cut(SEEDS))
            ),
        },
        "molecules/s",
    )


def one_thread_rate(method: str, epoch: int) -> float:
    """Molecules per second of a process with one thread and a block of seeds, after an epoch."""
    torch.set_num_threads(1)
    smiles, labels = demo()
    store = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    run = our_epoch(store, labels, method, epoch, SEEDS)
    run()
    return SEEDS * len(labels) / seconds(run)


def training() -> list[Figure]:
    """Molecules per second of training, and as a multiple of PyTorch Geometric's usual loop."""
    smiles, labels = demo()
    store = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    classes = int(labels.max()) + 1
    usual = usual_epoch(
        separate_graphs(store, labels), PlainNetwork(Network(ENCODER, ATOMS, classes, [0]))
    )

    def rate(work: Callable[[], None], threads: int, seeds: int = 1) -> Callable[[], float]:
        def measure() -> float:
            torch.set_num_threads(threads)
            return seeds * len(labels) / seconds(work)

        return measure

    def full(method: str, epoch: int) -> Callable[[], float]:
        def measure() -> float:
            with ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn")) as pool:
                return sum(pool.map(one_thread_rate, [method] * CORES, [epoch] * CORES))

        return measure

    work = {f"PyTorch Geometric's loop and DataLoader, {CORES} threads": rate(usual, CORES)}
    for method, epoch in (("cross_entropy", 0), ("class_distance", 10)):
        one = our_epoch(store, labels, method, epoch)
        block = our_epoch(store, labels, method, epoch, SEEDS)
        atoms = our_epoch(store, labels, method, epoch, SEEDS, static_shapes=True)
        work |= {
            f"{method}, one seed, 1 thread": rate(one, 1),
            f"{method}, {SEEDS} seeds, 1 thread": rate(block, 1, SEEDS),
            f"{method}, {SEEDS} seeds, 1 thread, a row for every atom": rate(atoms, 1, SEEDS),
            f"{method}, {SEEDS} seeds, {CORES} threads": rate(block, CORES, SEEDS),
            f"{method}, {SEEDS} seeds in each of {CORES} processes": full(method, epoch),
        }
    return in_turns(work, "molecules/s")


def clustering() -> list[Figure]:
    """Seconds of re-clustering with all distances, 128 dimensions, all cores."""
    torch.set_num_threads(CORES)
    work: dict[str, Callable[[], float]] = {}
    for name, sizes in {
        "20,000 molecules of 10 classes": (9000, 4500, 2200, 1300, 1000, 800, 500, 350, 220, 130),
        "10,000 molecules of 2 classes": (9650, 350),
    }.items():
        labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        generator = torch.Generator().manual_seed(0)
        x = normalize(torch.randn(len(labels), 128, generator=generator), dim=1)
        work[name] = lambda x=x, labels=labels: seconds(
            lambda: take_geometry(x, labels, x[:500], labels[:500], cluster_classes(x, labels))
        )
    return in_turns(work, "s")


def drugtail(*words: object) -> None:
    """Run the command as its users do."""
    command = Path(sys.executable).with_name("drugtail")
    subprocess.run([command, *map(str, words)], cwd=PROJECT, check=True, capture_output=True)


def starting() -> list[Figure]:
    """Seconds until a command is done; of training, until its first epoch begins."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        register = "config/datasets/demo.yaml"
        molecules, split = folder / "molecules.parquet", folder / "random-0"
        drugtail("generate", "--dataset", register, "--output", folder / "raw")
        drugtail(
            "prepare", "--dataset", register, "--raw", folder / "raw", "--output", folder
        )  # fmt: skip
        drugtail(
            "split", "--molecules", molecules, "--strategy", "random", "--seed", 0,
            "--output", split,
        )  # fmt: skip
        drugtail(
            "featurize", "--molecules", molecules, "--featurizer", "atoms",
            "--output", folder / "atoms",
        )  # fmt: skip

        def first_epoch() -> float:
            started = time.time()
            drugtail(
                "train", "--molecules", molecules, "--split", f"{split}.parquet",
                "--features", folder / "atoms", "--seeds", "0-0", "--output", folder / "run",
                "--method", "config/methods/baseline/cross_entropy.yaml",
                "--encoder", "config/encoders/gcn.yaml", "--set", "training.epochs=1",
            )  # fmt: skip
            first = read_parquet(folder / "run/history.parquet").iloc[0]
            return float(first["finished_at"] - first["seconds"]) - started

        return in_turns(
            {
                "drugtail --help": lambda: seconds(lambda: drugtail("--help")),
                "drugtail list methods": lambda: seconds(lambda: drugtail("list", "methods")),
                "drugtail train --help": lambda: seconds(lambda: drugtail("train", "--help")),
                "drugtail train, until the first epoch begins": first_epoch,
            },
            "s",
        )


SECTIONS = {f.__name__: f for f in (featurizing, batching, training, clustering, starting)}


def as_text(found: Mapping[str, list[Figure]], origin: str) -> str:
    """All sections as Markdown tables."""
    parts = [origin]
    for name, figures in found.items():
        lines = ["| | median | smallest | largest | unit | of the first |", "| --- " * 6 + "|"]
        for f in figures:
            digits = 0 if f.median >= 100 else 3
            cells = (f"{value:,.{digits}f}" for value in (f.median, f.low, f.high))
            lines.append(f"| {f.name} | {' | '.join(cells)} | {f.unit} | {f.ratio:.2f} |")
        parts.append(f"## {name}\n\n{SECTIONS[name].__doc__}\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Run the sections and write what they measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=PROJECT / "results/benchmarks")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    host, commit = describe_host(), (git_commit() or "unknown")[:7]
    found = {name: SECTIONS[name]() for name in options.only}
    origin = (
        f"Made by `make bench` on {host['cores']} cores ({host['processor']}) with PyTorch "
        f"{torch.__version__}, commit {commit}."
    )
    write_json(
        options.output / "bench.json",
        {
            "host": host,
            "torch": torch.__version__,
            "git_commit": commit,
            **{name: [asdict(figure) for figure in figures] for name, figures in found.items()},
        },
    )
    text = as_text(found, origin)
    write_text(options.output / "bench.md", text)
    print(text)


if __name__ == "__main__":
    main()
