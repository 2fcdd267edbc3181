"""What balanced clustering and class distances cost, and how tight the clusters are.

    python tests/benchmarks/clustering.py [--threads 2] [--largest 1000000] [--output FOLDER]

Run it alone: another process on the machine changes every figure. Points are drawn around 1,000
centres in 128 dimensions. Four tables: cost against the number of molecules at sub-clusters of
10; a data set of about the size of USPTO-50K at sub-clusters of about 160; mean squared distance
to the cluster's centre against that of scikit-learn's k-means at the same number of clusters,
which may make them of any size; and how often the search for the nearest of very many centres
finds it. With an output folder they are written there as clustering.md, and the first is drawn as
clustering.svg.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.functional import normalize

from drugtail.geometry.balanced_kmeans import balanced_kmeans, divide, group_means
from drugtail.geometry.class_geometry import cluster_classes, nearest_centre, take_geometry
from drugtail.runtime.files import write_text
from drugtail.runtime.manifest import describe_host, git_commit

USPTO = (10_600, 8_330, 3_970, 450, 640, 5_780, 3_220, 570, 1_290, 161)
CLASSES = 10


def embeddings(number: int, seed: int = 0) -> Tensor:
    """L2-normalised points around 1,000 centres, [number, 128]."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(1000, 128, generator=generator)
    chosen = torch.randint(1000, (number,), generator=generator)
    noise = torch.randn(number, 128, generator=generator)
    return normalize(centres[chosen] + 0.7 * noise, dim=1)


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """Median time of `work`."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


def mean_square(x: Tensor, clusters: Tensor) -> float:
    """Mean squared distance of points to the mean of their cluster."""
    names = torch.unique(clusters, return_inverse=True)[1]
    centres = group_means(x, names, int(names.max()) + 1)
    return float(((x - centres[names]) ** 2).sum(dim=1).mean())


Rows = list[list[str]]


def table(title: str, head: list[str], rows: Rows) -> str:
    """A Markdown table under its title."""
    lines = [head, ["---"] * len(head), *rows]
    return f"{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cost(largest: int) -> list[tuple[int, float, float, float]]:
    """Molecules, seconds of clustering, seconds with all distances, peak memory in GB."""
    found = []
    number = 1_000
    while number <= largest:
        x, labels = embeddings(number), torch.arange(number) % CLASSES
        sizes = torch.full((CLASSES,), number // CLASSES)
        clusters, capacity = sizes // 10, torch.full((CLASSES,), 10)
        smallest = sizes.clone()
        smallest[-1] = 10

        def cluster(x: Tensor = x, labels: Tensor = labels, clusters: Tensor = clusters,
                    capacity: Tensor = capacity) -> None:  # fmt: skip
            divide(x, labels, clusters, capacity, seed=0, rounds=50, tolerance=1e-3)

        def everything(x: Tensor = x, labels: Tensor = labels, smallest: Tensor = smallest) -> None:
            take_geometry(x, labels, x[:0], labels[:0], cluster_classes(x, labels, sizes=smallest))

        if not found:  # The first call of anything also pays for PyTorch's start.
            everything()
        repeats = 5 if number <= 10_000 else 1
        seconds_of_both = seconds(cluster, repeats), seconds(everything, repeats)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        found.append((number, *seconds_of_both, peak))
        number *= 10
    return found


def uspto() -> float:
    """Seconds for everything on a data set of the size of USPTO-50K."""
    x = embeddings(sum(USPTO))
    labels = torch.repeat_interleave(torch.arange(len(USPTO)), torch.tensor(USPTO))
    return seconds(
        lambda: take_geometry(x, labels, x[:5000], labels[:5000], cluster_classes(x, labels)),
        repeats=5,
    )


def quality() -> Rows:
    """Points, clusters, and distance and time as multiples of those of plain k-means."""
    rows = []
    for number, k in ((10_600, 16), (10_600, 66), (5_000, 250), (10_600, 660)):
        x = embeddings(number)
        plain = KMeans(k, n_init=1, random_state=0)
        slow = seconds(lambda x=x, plain=plain: plain.fit(x.numpy()))
        capacity = -(-number // k)
        fast = seconds(
            lambda x=x, k=k, capacity=capacity: balanced_kmeans(x, k, capacity=capacity, seed=0)
        )
        ours = mean_square(x, balanced_kmeans(x, k, capacity=capacity, seed=0))
        theirs = mean_square(x, torch.from_numpy(plain.labels_).long())
        rows.append([f"{number:,}", str(k), f"{ours / theirs:.3f}", f"{fast / slow:.2f}"])
    return rows


def search() -> Rows:
    """Centres, share of points whose nearest centre is found, and excess distance of the others."""
    rows = []
    for number in (5_000, 20_000, 100_000):
        x, labels = embeddings(10 * number), torch.arange(10 * number) % CLASSES
        order = labels.argsort(stable=True)
        x, labels = x[order], labels[order]
        clusters = torch.full((CLASSES,), number // CLASSES)
        name = divide(
            x, labels, clusters, torch.full((CLASSES,), 10), seed=0, rounds=50, tolerance=1e-3
        )
        centres = group_means(x, name, number)
        owner = torch.arange(CLASSES).repeat_interleave(clusters)
        asked = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:2000]
        points, own = x[asked], labels[asked]
        found, _ = nearest_centre(points, own, centres, owner, of_own_class=False)
        distance = torch.cdist(points, centres).masked_fill(own[:, None] == owner, torch.inf)
        true = distance.amin(dim=1)
        met = found <= true + 1e-4
        excess = float((found / true - 1)[~met].mean()) if not bool(met.all()) else 0.0
        rows.append([f"{number:,}", f"{100 * met.double().mean():.1f} %", f"{100 * excess:.1f} %"])
    return rows


def draw(points: list[tuple[int, float, float, float]], path: Path) -> None:
    """Seconds against molecules, both logarithmic, with a straight line for comparison."""
    figure, axis = plt.subplots(figsize=(5, 3.6), layout="constrained")
    molecules = [p[0] for p in points]
    axis.loglog(molecules, [p[1] for p in points], "o-", label="clustering")
    axis.loglog(molecules, [p[2] for p in points], "s-", label="with all distances")
    line = [points[-1][2] * n / molecules[-1] for n in molecules]
    axis.loglog(molecules, line, ":", color="grey", label="linear")
    axis.set(xlabel="molecules", ylabel="seconds")
    axis.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the four tables and, with a folder, write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    curve = cost(options.largest)
    host = describe_host()
    text = "\n".join(
        [
            f"Made by `python tests/benchmarks/clustering.py --threads {options.threads}` on "
            f"{host['cores']} cores ({host['processor']}) with PyTorch {torch.__version__}, commit "
            f"{(git_commit() or 'unknown')[:7]}.\n",
            table(
                f"{options.threads} threads, {CLASSES} classes, sub-clusters of 10.",
                ["molecules", "clustering, s", "with all distances, s", "µs per molecule",
                 "peak memory, GB"],
                [[f"{n:,}", f"{a:.3f}", f"{b:.3f}", f"{1e6 * b / n:.0f}", f"{peak:.1f}"]
                 for n, a, b, peak in curve],
            ),
            table(
                "Ten classes of the sizes of USPTO-50K's, sub-clusters of about 160, everything "
                "with 5,000 validation molecules.",
                ["molecules", "seconds"],
                [[f"{sum(USPTO):,}", f"{uspto():.2f}"]],
            ),
            table(
                "Against scikit-learn's k-means.",
                ["points", "clusters", "distance over that of k-means", "time over its time"],
                quality(),
            ),
            table(
                "The nearest centre of another class, by groups of 64 centres.",
                ["centres", "found", "excess distance where not"],
                search(),
            ),
        ]
    )  # fmt: skip
    print(text)
    if options.output:
        write_text(options.output / "clustering.md", text)
        draw(curve, options.output / "clustering.svg")


if __name__ == "__main__":
    main()
