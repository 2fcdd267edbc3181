"""Silhouettes of classes on fingerprints, measured before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.data.clusters import BITS, RADIUS
from drugtail.data.split_digest import read_facts, read_split
from drugtail.features.similarity import Tanimoto
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet
from drugtail.runtime.seeds import derive_seed

# Parents that are compared, all with all: some seconds. A class has its share of them, and never
# fewer than this if it has them.
MOST_COMPARED = 12_000
FEWEST_OF_CLASS = 50


class Silhouettes(NamedTuple):
    """Silhouettes of classes, in [-1, 1]; 0 where a class is no nearer to itself than to another.

    Attributes
    ----------
    mean : numpy.ndarray
        By mean distances (Rousseeuw, J. Comput. Appl. Math. 1987, 20, 53), float64 [C].
    nearest : numpy.ndarray
        By distances to the nearest molecule. A large class has nearer ones: hold its size fixed.
    """

    mean: NDArray[np.float64]
    nearest: NDArray[np.float64]


def measure_separability(molecules: Path, split: Path, output: Path) -> None:
    """Write the Tanimoto silhouette of each class, by the training molecules of a split alone.

    Distances are 1 - Tanimoto similarity of Morgan fingerprints (radius 2, 2,048 bits) of distinct
    parent compounds. Of many, a class's share of 12,000 is drawn, the same ones every time, but at
    least 50 of each.

    Parameters
    ----------
    molecules
        ``molecules.parquet`` of the data set.
    split
        Its split.
    output
        Parquet file, a row per class: ``dataset``, ``split``, ``label``, ``train_parents``
        (distinct ones), ``compared`` (of them), ``silhouette`` and ``nearest_silhouette`` (see
        `Silhouettes`; NaN for a class of one parent).

    Raises
    ------
    DrugtailError
        If the split was edited, is of other molecules, or these are not what `drugtail prepare`
        writes.
    """
    frame = read_parquet(molecules, ["id", "label", "parent"])
    header = read_facts(molecules)
    subsets, of_split = read_split(split, frame["id"], molecules), read_parquet_metadata(split)
    known = frame.loc[subsets == "train", ["label", "parent"]].drop_duplicates()
    classes = len(header["class_names"])
    rng = np.random.default_rng(derive_seed("separability", header["dataset"], of_split["split"]))
    share = max(FEWEST_OF_CLASS, MOST_COMPARED // classes)
    drawn = known.iloc[rng.permutation(len(known))].groupby("label").head(share).sort_index()
    labels = drawn["label"].to_numpy(dtype=np.int64)
    found = class_silhouettes(_fingerprints(drawn["parent"]), labels, classes)
    table = pd.DataFrame(
        {
            "dataset": header["dataset"],
            "split": of_split["split"],
            "label": np.arange(classes),
            "train_parents": np.bincount(known["label"], minlength=classes),
            "compared": np.bincount(labels, minlength=classes),
            "silhouette": found.mean,
            "nearest_silhouette": found.nearest,
        }
    )
    write_parquet(output, table, {"split_sha256": of_split["sha256"]})


def class_silhouettes(
    fingerprints: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> Silhouettes:
    """Return mean silhouettes of the molecules of each class, by Tanimoto distances.

    A molecule's silhouette is (b - a) / max(a, b), a its distance to the others of its class, b
    that to the class that is nearest.

    Parameters
    ----------
    fingerprints
        0 and 1, float32 [N, F].
    labels
        Classes, int64 [N].
    classes
        Number of classes C, at least 2. Those with fewer than two molecules have NaN, and count
        as another class for the others.
    """
    counts = np.bincount(labels, minlength=classes)
    order = np.argsort(labels, kind="stable")
    fingerprints, labels = fingerprints[order], labels[order]
    there = np.flatnonzero(counts)
    starts = np.searchsorted(labels, there)
    member = np.zeros((len(labels), classes), dtype=np.float32)
    member[np.arange(len(labels)), labels] = 1.0
    mean, nearest = np.zeros(len(labels)), np.zeros(len(labels))
    first = 0
    for similar in Tanimoto(fingerprints).to(fingerprints):
        rows = np.arange(len(similar))
        own = labels[first + rows]
        # Not with itself.
        similar[rows, first + rows] = 0.0
        number = counts - member[first + rows]
        far = 1.0 - (similar @ member) / np.maximum(number, 1)
        far[:, counts == 0] = np.inf
        mean[first + rows] = _silhouette(far, own)
        # The 0 that stands for the molecule itself changes no maximum.
        closest = np.full((len(similar), classes), np.inf)
        closest[:, there] = 1.0 - np.maximum.reduceat(similar, starts, axis=1)
        nearest[first + rows] = _silhouette(closest, own)
        first += len(similar)
    lonely = counts < 2
    both = (np.bincount(labels, one, minlength=classes) for one in (mean, nearest))
    return Silhouettes(*(np.where(lonely, np.nan, sums / np.maximum(counts, 1)) for sums in both))


def _silhouette(distances: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.float64]:
    """Silhouette of each molecule, from its distance to each class, [n, C]."""
    rows = np.arange(len(own))
    inside = distances[rows, own]
    others = distances.copy()
    others[rows, own] = np.inf
    outside = others.min(axis=1)
    larger = np.maximum(inside, outside)
    found: NDArray[np.float64] = (outside - inside) / np.where(larger > 0, larger, 1.0)
    return found


def _fingerprints(smiles: Sequence[str] | pd.Series) -> NDArray[np.float32]:
    from rdkit import Chem, rdBase
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    found = np.zeros((len(smiles), BITS), dtype=np.float32)
    with rdBase.BlockLogs():
        for row, text in enumerate(smiles):
            found[row] = generator.GetFingerprintAsNumPy(Chem.MolFromSmiles(text))
    return found
