"""What every stage costs against the size of the data: seconds and memory.

    python tests/benchmarks/scale.py [--largest 1000000] [--only training ...] [--threads 1]
                                     [--output results/benchmarks]

Run it alone: another process on the machine changes every figure. Each stage is measured against
molecules (or runs) at ten classes, and where it knows classes, against these at 100,000 molecules
(or 100 runs; 10 where those are slow). Every measurement has a process of its own, which reads
what an earlier process prepared; quick ones are repeated. Molecules are the demo's, repeated as
often as needed, so that none is larger than they are; class sizes fall geometrically, the largest
about a hundred times the smallest. Writes scale.json, scale.md and scale.svg. All of it takes
about half an hour, ``--largest 10000`` less than ten minutes.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drugtail.runtime.files import write_json, write_text
from drugtail.runtime.manifest import describe_host, git_commit
from drugtail.runtime.parquet import write_parquet

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from drugtail.features.packed import GraphStore

# Everything large is imported where it is used. A process on Linux starts with the peak memory of
# the one that started it, and stages that need no PyTorch are not to be charged for it.

PROJECT = Path(__file__).parents[2]
MOLECULES = (1_000, 10_000, 100_000, 1_000_000)
RUNS = (10, 30, 100, 300, 1_000)
CLASSES = (10, 30, 100, 300, 1_000)
FEW_CLASSES = 10
IMBALANCE = 100
LEAST = 3
SEEDS = 5
# A measurement below so many seconds is repeated.
QUICK, REPEATS = 1.0, 3
# Slope of log cost against log size up to which a stage counts as linear.
LINEAR = 1.15
COLOURS = {"size": "#0072B2", "classes": "#D55E00"}  # Okabe and Ito's, for all eyes.
# Stage and what it grows with -> why it is not linear, where it is not.
REASONS: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Point:
    """One measured size.

    Attributes
    ----------
    size, classes : int
        Molecules or runs, and classes.
    seconds : float
        Median of the repeats.
    peak_memory : int
        Bytes, the largest of the repeats.
    repeats : int
        How often it was measured.
    """

    size: int
    classes: int
    seconds: float
    peak_memory: int
    repeats: int


@dataclass(frozen=True)
class Stage:
    """A stage of the workflow.

    Attributes
    ----------
    what : str
        What is measured.
    prepare : callable
        Writes what the stage reads into a folder, for a size and a number of classes.
    load : callable
        Takes the folder and returns the call that is timed.
    unit : str
        What its size is: ``molecules`` or ``runs``.
    fixed : int
        Size at which the number of classes varies; 0 for a stage that knows no classes.
    """

    what: str
    prepare: Callable[[Path, int, int], None]
    load: Callable[[Path], Callable[[], object]]
    unit: str = "molecules"
    fixed: int = 100_000


# ---------------------------------------------------------------------------------- inputs


def class_sizes(total: int, classes: int) -> NDArray[np.int64]:
    """Long-tailed class sizes, largest first, at least `LEAST` each; their sum is `total`."""
    import numpy as np

    shares = IMBALANCE ** -np.linspace(0, 1, classes)
    spare = total - LEAST * classes
    sizes = LEAST + np.floor(spare * shares / shares.sum()).astype(np.int64)
    sizes[0] += total - sizes.sum()
    return sizes


def shuffled_labels(total: int, classes: int) -> NDArray[np.int64]:
    """Classes of molecules in random order."""
    import numpy as np

    labels = np.repeat(np.arange(classes), class_sizes(total, classes))
    return np.random.default_rng(0).permutation(labels)


def demo_smiles() -> list[str]:
    """SMILES of the demo in random order, so that also the first thousand are like all."""
    from drugtail.data.generate import generate_reactions

    smiles: list[str] = generate_reactions()["smiles"].sample(frac=1, random_state=0).tolist()
    return smiles


def write_molecules(folder: Path, size: int, _: int) -> None:
    """molecules.parquet, as far as featurizing reads it."""
    import numpy as np
    import pandas as pd

    write_parquet(
        folder / "molecules.parquet", pd.DataFrame({"smiles": np.resize(demo_smiles(), size)})
    )


def write_features(folder: Path, size: int, classes: int) -> None:
    """Packed graphs and labels; the demo's are featurized once and repeated."""
    import numpy as np

    from drugtail.features.reading import pack_atoms

    smiles = demo_smiles()
    whole, rest = divmod(size, len(smiles))
    once, part = pack_atoms(smiles), pack_atoms(smiles[:rest] or smiles[:1])
    shapes = {}
    for name, array in once.items():
        pieces = [array] * whole + ([part[name]] if rest else [])
        array = np.concatenate(pieces)
        np.save(folder / f"{name}.npy", array)
        shapes[name] = list(array.shape)
    np.save(folder / "labels.npy", shuffled_labels(size, classes))
    write_json(folder / "features.json", {"arrays": shapes})


def write_labels(folder: Path, size: int, classes: int) -> None:
    """Labels alone; points are drawn where they are used."""
    import numpy as np

    np.save(folder / "labels.npy", shuffled_labels(size, classes))


def write_predictions(folder: Path, size: int, classes: int) -> None:
    """predictions.parquet of one seed: a third validation, the rest test molecules."""
    import numpy as np
    import pandas as pd

    labels = shuffled_labels(size, classes)
    generator = np.random.default_rng(1)
    logits = generator.standard_normal((size, classes), dtype=np.float32)
    logits[np.arange(size), labels] += 3
    frame = pd.DataFrame(
        {
            "id": np.arange(size).astype(str),
            "subset": np.where(np.arange(size) < size // 3, "valid", "test"),
            "label": labels,
            "seed": 0,
            "parent": np.arange(size),
            "new_parent": True,
        }
    )
    columns = [f"logit_{c}" for c in range(classes)]
    header = {
        "dataset": "scale", "split": "random-0", "encoder": "gcn", "method": "cross_entropy",
        "class_names": [f"class {c}" for c in range(classes)],
        "train_counts": class_sizes(size, classes).tolist(),
    }  # fmt: skip
    write_parquet(
        folder / "predictions.parquet",
        frame.join(pd.DataFrame(logits, columns=columns)),
        header,
    )


def run_blocks(runs: int) -> list[dict[str, str]]:
    """Names of the blocks of so many runs: five seeds, up to twenty methods, then data sets."""
    methods = ["cross_entropy", "balanced_softmax", *(f"method_{i}" for i in range(2, 20))]
    blocks = runs // SEEDS
    return [
        {
            "dataset": f"data{i // len(methods)}",
            "split": "random-0",
            "encoder": "gcn",
            "method": methods[i % len(methods)],
        }
        for i in range(blocks)
    ]


def write_blocks(folder: Path, runs: int, classes: int) -> None:
    """What `drugtail collect` reads of finished blocks, with drawn metrics."""
    import numpy as np

    generator = np.random.default_rng(0)
    for key in run_blocks(runs):
        block = folder.joinpath("runs", *key.values(), f"seeds0-{SEEDS - 1}")
        state = {"status": "finished", "epochs": 300, "best_epoch": 200, "seconds": 60.0}
        write_json(block / "status.json", {"seeds": {str(s): state for s in range(SEEDS)}})
        for name, frame in drawn_metrics(key, classes, generator).items():
            write_parquet(block / f"{name}.parquet", frame, {"class_weights": "uniform"})


def drawn_metrics(
    key: dict[str, str], classes: int, generator: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """The three tables of a block: per run, per class, and per class and re-clustering."""
    import numpy as np
    import pandas as pd

    from drugtail.data.groups import class_groups
    from drugtail.evaluation.metrics import metric_names
    from drugtail.training.block import CLASSES as HISTORY

    sizes = class_sizes(100 * classes, classes)
    names = [f"{part}_{name}" for part in ("valid", "test") for name in metric_names()]
    runs = pd.DataFrame(generator.random((SEEDS, len(names))), columns=names)
    per_class = {"label": np.arange(classes), "n_train": sizes, "group": class_groups(sizes)}
    measured = ["recall", "precision", "f1", "balanced_f1", "auroc", "auprc"]
    both = [
        pd.DataFrame(
            {**key, "seed": seed, "subset": part, **per_class, "label_name": "", "n": sizes}
            | {name: generator.random(classes) for name in measured}
        )
        for seed in range(SEEDS)
        for part in ("valid", "test")
    ]
    moments = [("refresh", 10), ("refresh", 110), ("refresh", 210), ("chosen", 200)]
    history = [
        pd.DataFrame(
            {name: generator.random(classes) for name, kind in HISTORY.items() if kind == "float64"}
            | {"seed": seed, "moment": moment, "epoch": epoch, "n": sizes}
            | {"label": np.arange(classes), "nearest_class": 0, "subclusters": 1}
        )
        for seed in range(SEEDS)
        for moment, epoch in moments
    ]
    return {
        "metrics": runs.assign(**key, seed=range(SEEDS)),
        "class_metrics": pd.concat(both),
        "classes": pd.concat(history),
    }


def write_collected(folder: Path, runs: int, classes: int) -> None:
    """What `drugtail collect` makes of those blocks."""
    write_blocks(folder, runs, classes)
    collecting(folder)()


def write_measured(folder: Path, runs: int, classes: int) -> None:
    """The same with silhouettes of classes, drawn by chance."""
    write_collected(folder, runs, classes)
    import numpy as np

    from drugtail.runtime.parquet import read_parquet

    (path,) = folder.glob("metrics/class_metrics.parquet")
    frame = read_parquet(path)
    drawn = np.random.default_rng(0).normal(size=(2, classes))
    for name, values in zip(("silhouette", "nearest_silhouette"), drawn, strict=True):
        frame[name] = values[frame["label"]]
    write_parquet(path, frame)


# ------------------------------------------------------------------------------ what is timed


def featurizing(folder: Path) -> Callable[[], object]:
    """Packing with one worker, reading and writing included."""
    from drugtail.features.featurize import featurize

    return lambda: featurize(folder / "molecules.parquet", "atoms", folder / "atoms", workers=1)


def loading(folder: Path) -> Callable[[], object]:
    """Reading features and turning them into the matrix that batches are cut from."""
    import torch

    from drugtail.features.arrays import load_arrays
    from drugtail.features.packed import GraphStore

    # What is imported here is not timed.
    return lambda: GraphStore(load_arrays(folder), torch.device("cpu"))


def training_epoch(store: GraphStore, labels: Tensor) -> Callable[[], object]:
    """One epoch of cross_entropy: all that this file knows of how training is called."""
    from bench import our_epoch

    return our_epoch(store, labels, "cross_entropy")


def training(folder: Path) -> Callable[[], object]:
    """One epoch of cross_entropy in batches of 128; loading is not timed."""
    import numpy as np
    import torch

    store = loading(folder)()
    return training_epoch(store, torch.from_numpy(np.load(folder / "labels.npy")))


def clustering(folder: Path) -> Callable[[], object]:
    """Default sub-clusters and all distances, of random normalised points, a tenth held out."""
    import numpy as np
    import torch
    from torch.nn.functional import normalize

    from drugtail.geometry.class_geometry import cluster_classes, take_geometry

    labels = torch.from_numpy(np.load(folder / "labels.npy"))
    generator = torch.Generator().manual_seed(0)
    x = normalize(torch.randn(len(labels), 128, generator=generator), dim=1)
    held_out = len(labels) // 10
    return lambda: take_geometry(
        x, labels, x[:held_out], labels[:held_out], cluster_classes(x, labels)
    )


def evaluating(folder: Path) -> Callable[[], object]:
    """All metrics of one run, from its file of predictions."""
    from drugtail.evaluation.evaluate import evaluate_block

    return lambda: evaluate_block(
        folder / "predictions.parquet", folder / "metrics.parquet", folder / "class_metrics.parquet"
    )


def collecting(folder: Path) -> Callable[[], object]:
    """Putting the metrics of all blocks into one table."""
    from drugtail.evaluation.collect import collect_blocks

    blocks = [path.parent for path in sorted(folder.rglob("status.json"))]
    return lambda: collect_blocks(blocks, folder / "metrics")


def tabulated(folder: Path, *tables: str) -> Callable[[], object]:
    """Writing tables of the catalogue."""
    from drugtail.config.catalogue import Catalogue
    from drugtail.report.tables import tabulate

    catalogue = Catalogue(PROJECT / "config")
    wanted = [catalogue.table(name) for name in tables]
    return lambda: [tabulate(folder / "metrics", t, folder / t.name) for t in wanted]


STAGES = {
    "featurizing": Stage(
        "`drugtail featurize` for graphs with one worker", write_molecules, featurizing,
        fixed=0,
    ),
    "loading": Stage(
        "features from disk into memory, as training holds them", write_features, loading,
        fixed=0,
    ),
    "training": Stage("one epoch of cross_entropy, after loading", write_features, training),
    "clustering": Stage(
        "one re-clustering with all distances, random points in 128 dimensions", write_labels,
        clustering,
    ),
    "evaluation": Stage(
        "`drugtail evaluate` of one run; molecules are those predicted", write_predictions,
        evaluating,
    ),
    "collecting": Stage("`drugtail collect`", write_blocks, collecting, unit="runs", fixed=100),
    "tabulating": Stage(
        "`drugtail tabulate` of the demo's three tables", write_collected,
        lambda folder: tabulated(folder, "head_tail", "trade_off", "all_metrics"), unit="runs",
        fixed=100,
    ),
    "comparing": Stage(
        "`drugtail tabulate` of one method against all others, with intervals and tests",
        write_collected, lambda folder: tabulated(folder, "comparison"), unit="runs",
        fixed=100,
    ),
    "separability": Stage(
        "`drugtail tabulate` of rank correlations over classes, with intervals", write_measured,
        lambda folder: tabulated(folder, "separability"), unit="runs", fixed=10,
    ),
}  # fmt: skip


# -------------------------------------------------------------------------------- measuring


def prepare(stage: str, folder: Path, size: int, classes: int) -> None:
    """Write what a stage reads."""
    STAGES[stage].prepare(folder, size, classes)


def measure(stage: str, folder: Path) -> tuple[float, int]:
    """Seconds of a stage and the peak memory of this process, in bytes."""
    work = STAGES[stage].load(folder)
    started = time.perf_counter()
    work()
    taken = time.perf_counter() - started
    own, children = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    # Linux counts in KiB, macOS in bytes.
    return taken, (own + children) * (1 if sys.platform == "darwin" else 1024)


def alone(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measured(stage: str, size: int, classes: int) -> Point:
    """Measure a stage at one size, several times if it is quick."""
    with tempfile.TemporaryDirectory(prefix="drugtail-scale-") as name:
        folder = Path(name)
        alone(prepare, stage, folder, size, classes)
        found = [alone(measure, stage, folder)]
        while found[0][0] < QUICK and len(found) < REPEATS:
            found.append(alone(measure, stage, folder))
    times, memory = zip(*found, strict=True)
    point = Point(size, classes, statistics.median(times), max(memory), len(found))
    print(f"{stage}: {size:,}, {classes} classes: {point.seconds:.3f} s", flush=True)
    return point


def sizes(stage: Stage, largest: int) -> Iterator[tuple[int, int]]:
    """Sizes and numbers of classes to measure, those of a smaller check with `largest` molecules.

    A hundred molecules stand for a run, and ten for a class.
    """
    of_unit = MOLECULES if stage.unit == "molecules" else RUNS
    most = largest if stage.unit == "molecules" else largest // 100
    yield from ((size, FEW_CLASSES) for size in of_unit if size <= most)
    if stage.fixed:
        fixed = min(stage.fixed, most)
        known = {size for size in of_unit if size <= most}
        for classes in CLASSES:
            if classes <= largest // 10 and (classes != FEW_CLASSES or fixed not in known):
                yield fixed, classes


def curves(stage: Stage, points: list[Point]) -> dict[str, list[Point]]:
    """The points by what grows: the size at few classes, and classes at one size."""
    found = {"size": [p for p in points if p.classes == FEW_CLASSES]}
    more = [p for p in points if p.classes != FEW_CLASSES]
    if more:
        found["classes"] = [p for p in points if p.size == more[0].size]
    return found


def last_decade(curve: list[Point], grows: str) -> list[Point]:
    """The points of at least a tenth of the largest."""
    return [p for p in curve if 10 * getattr(p, grows) >= getattr(curve[-1], grows)]


def slope(curve: list[Point], grows: str) -> float | None:
    """Least-squares slope of log seconds against log size over the last decade."""
    last = last_decade(curve, grows)
    if len(last) < 2:
        return None
    x = [math.log(getattr(p, grows)) for p in last]
    y = [math.log(p.seconds) for p in last]
    return statistics.linear_regression(x, y).slope


# --------------------------------------------------------------------------------- reporting


def verdict(name: str, grows: str, curve: list[Point]) -> str:
    """The slope of a curve and what follows from it."""
    steep = slope(curve, grows)
    if steep is None:
        return "No slope from a single size."
    unit = STAGES[name].unit if grows == "size" else "classes"
    text = f"Slope against {unit} over the last decade {steep:.2f}: "
    if steep < LINEAR:
        return text + "linear up to logarithms."
    return text + REASONS.get((name, grows), "not linear; the reason is not known yet.")


def as_text(found: dict[str, list[Point]], origin: str) -> str:
    """All stages as Markdown."""
    parts = [origin]
    for name, points in found.items():
        stage = STAGES[name]
        unit = stage.unit
        parts.append(f"## {name}\n\n{stage.what[0].upper()}{stage.what[1:]}.")
        for grows, curve in curves(stage, points).items():
            lines = [
                f"| {unit} | classes | seconds | µs per {unit[:-1]} | peak memory, MB | repeats |",
                "| ---: " * 6 + "|",
            ]
            lines += [
                f"| {p.size:,} | {p.classes:,} | {p.seconds:.3f} | "
                f"{1e6 * p.seconds / p.size:,.1f} | {p.peak_memory / 1e6:,.0f} | {p.repeats} |"
                for p in curve
            ]
            parts += ["\n".join(lines), verdict(name, grows, curve)]
    return "\n\n".join(parts) + "\n"


def draw(found: dict[str, list[Point]], path: Path) -> None:
    """One panel per stage, both axes logarithmic, dotted where the last decade is proportional."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.6 * columns, 3 * rows), squeeze=False, layout="constrained"
    )
    for axis in grid.flat[len(found) :]:
        axis.remove()
    for axis, (name, points) in zip(grid.flat, found.items(), strict=False):
        stage = STAGES[name]
        for grows, curve in curves(stage, points).items():
            x, y = [getattr(p, grows) for p in curve], [p.seconds for p in curve]
            at = f"{FEW_CLASSES} classes" if grows == "size" else f"{curve[0].size:,} {stage.unit}"
            axis.loglog(
                x, y, "o-" if grows == "size" else "s--", color=COLOURS[grows], markersize=4,
                label=f"{stage.unit if grows == 'size' else grows} (at {at})",
            )  # fmt: skip
            last = [getattr(p, grows) for p in last_decade(curve, grows)]
            axis.loglog(last, [y[-1] * value / x[-1] for value in last], ":", color="grey")
        axis.set(title=name, xlabel=f"{stage.unit} or classes", ylabel="seconds")
        axis.legend(frameon=False, fontsize="x-small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure the stages, then write page, figures and drawing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=PROJECT / "results/benchmarks")
    parser.add_argument("--largest", type=int, default=MOLECULES[-1], help="Most molecules.")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    # Read by the processes to come.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    host, commit, load = describe_host(), (git_commit() or "unknown")[:7], os.getloadavg()[0]
    found = {
        name: [measured(name, *size) for size in sizes(STAGES[name], options.largest)]
        for name in options.only
    }
    packages = {name: version(name) for name in ("torch", "rdkit", "pandas", "scikit-learn")}
    origin = (
        f"Made by `make bench` on {host['cores']} cores ({host['processor']}) with "
        f"{options.threads} thread(s) and PyTorch {packages['torch']}, commit {commit}; load "
        f"before it {load:.1f}. Every measurement has a process of its own; peak memory is all of "
        "that process, its imports and inputs included. Molecules are those of the demo, repeated "
        "as often as needed; classes are long-tailed, the largest about "
        f"{IMBALANCE} times the smallest. Dotted lines of scale.svg are straight proportion."
    )
    write_json(
        options.output / "scale.json",
        {
            "host": host,
            "load": load,
            "threads": options.threads,
            "packages": packages,
            "git_commit": commit,
            "stages": {
                name: {
                    "unit": STAGES[name].unit,
                    "points": [asdict(point) for point in points],
                    "slopes": {
                        grows: slope(curve, grows)
                        for grows, curve in curves(STAGES[name], points).items()
                    },
                }
                for name, points in found.items()
            },
        },
    )
    text = as_text(found, origin)
    write_text(options.output / "scale.md", text)
    draw(found, options.output / "scale.svg")
    print(text)


if __name__ == "__main__":
    main()
