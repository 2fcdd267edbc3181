"""What balanced clustering and class distances cost, and how tight the clusters are.

    python tests/benchmarks/clustering.py [--threads 2] [--largest 1000000]

Run it alone: another process on the machine changes every figure. Points are drawn around 1,000
centres in 128 dimensions. The first table grows the number of molecules at sub-clusters of 10; the
second is about the size of USPTO-50K at sub-clusters of about 160; the third compares the mean
squared distance to the cluster's centre with that of scikit-learn's k-means at the same number of
clusters, which may make them of any size.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import torch
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.functional import normalize

from drugtail.methods.geometry import take_geometry
from drugtail.methods.subclusters import balanced_kmeans, divide, group_means

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


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--largest", type=int, default=1_000_000)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    print(f"{options.threads} threads, {CLASSES} classes, sub-clusters of 10, 128 dimensions")
    print("| molecules | clustering, s | with all distances, s | µs per molecule | peak GB |")
    print("| --- | --- | --- | --- | --- |")
    number = 1_000
    while number <= options.largest:
        x, labels = embeddings(number), torch.arange(number) % CLASSES
        clusters = torch.full((CLASSES,), number // CLASSES // 10)
        cluster = seconds(
            lambda x=x, labels=labels, clusters=clusters: divide(
                x, labels, clusters, torch.full((CLASSES,), 10),
                seed=0, rounds=50, tolerance=1e-3,
            )
        )  # fmt: skip
        sizes = torch.full((CLASSES,), number // CLASSES)
        sizes[-1] = 10
        everything = seconds(
            lambda x=x, labels=labels, sizes=sizes: take_geometry(
                x, labels, x[:0], labels[:0], sizes=sizes
            )
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"| {number:,} | {cluster:.2f} | {everything:.2f} | {1e6 * everything / number:.0f} "
            f"| {peak:.1f} |"
        )
        number *= 10

    x = embeddings(sum(USPTO))
    labels = torch.repeat_interleave(torch.arange(len(USPTO)), torch.tensor(USPTO))
    taken = seconds(lambda: take_geometry(x, labels, x[:5000], labels[:5000]), repeats=5)
    print(f"\n{len(x):,} molecules of 10 classes, sub-clusters of about 160, clustering and all")
    print(f"distances, with 5,000 validation molecules: {taken:.2f} s (median of 5)")

    print("\n| points | clusters | mean squared distance over that of k-means | time over it |")
    print("| --- | --- | --- | --- |")
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
        print(f"| {number:,} | {k} | {ours / theirs:.3f} | {fast / slow:.2f} |")


if __name__ == "__main__":
    main()
