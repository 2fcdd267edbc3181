"""Clusters and nearest neighbours by Tanimoto similarity of Morgan fingerprints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator
from scipy import sparse

from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import Pace, say

RADIUS, BITS = 2, 2048
DISTANCE = 0.4
# The pairs of so many take some ten minutes; their number grows with the square.
MOST_MOLECULES = 100_000


def fingerprints(smiles: Sequence[str]) -> list[DataStructs.ExplicitBitVect]:
    """Morgan fingerprints (radius 2, 2,048 bits) of valid SMILES."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    with rdBase.BlockLogs():
        return [generator.GetFingerprint(Chem.MolFromSmiles(text)) for text in smiles]


def butina_clusters(smiles: Sequence[str], distance: float = DISTANCE) -> NDArray[np.int64]:
    """Return the Butina cluster of each molecule, 0 … K-1, the largest first.

    Only neighbours are stored, not all distances, so memory grows with their number alone.

    Parameters
    ----------
    smiles
        Valid SMILES, [N].
    distance
        Tanimoto distance within which molecules are neighbours.

    Raises
    ------
    DrugtailError
        If there are more than 100,000 molecules.
    """
    if len(smiles) > MOST_MOLECULES:
        raise DrugtailError(
            f"a butina split compares all pairs of {len(smiles):,} parents; that is for at most "
            f"{MOST_MOLECULES:,}: use scaffold-0"
        )
    found = fingerprints(smiles)
    rows, columns = [], []
    pace = Pace(10)
    for i in range(1, len(found)):
        similar = DataStructs.BulkTanimotoSimilarity(found[i], found[:i])
        # Compared as RDKit's own clustering does, distances and all.
        close = np.flatnonzero(1 - np.asarray(similar) <= distance).astype(np.int32)
        columns.append(close)
        rows.append(np.full(len(close), i, dtype=np.int32))
        if pace.due():
            say(f"{i:,} of {len(found):,} parents compared")
    near = _symmetric(rows, columns, len(found))
    counts = np.diff(near.indptr)
    clusters = np.full(len(found), -1)
    number = 0
    # Most neighbours first, of equal numbers the last; each takes its neighbours that are free.
    for i in np.lexsort((np.arange(len(found)), counts))[::-1].tolist():
        if clusters[i] >= 0:
            continue
        own = near.indices[near.indptr[i] : near.indptr[i + 1]]
        clusters[own[clusters[own] < 0]] = clusters[i] = number
        number += 1
    return clusters


def _symmetric(
    rows: list[NDArray[np.int32]], columns: list[NDArray[np.int32]], size: int
) -> sparse.csr_array:
    """Matrix of neighbours in both directions, of those of lower number."""
    if not rows:
        return sparse.csr_array((size, size), dtype=bool)
    ends = np.concatenate(rows), np.concatenate(columns)
    half = sparse.csr_array((np.ones(len(ends[0]), dtype=bool), ends), shape=(size, size))
    return sparse.csr_array(half + half.T)


def nearest_similarity(asked: Sequence[str], known: Sequence[str]) -> NDArray[np.float64]:
    """Return the Tanimoto similarity of each molecule to the most similar known one, [N].

    Parameters
    ----------
    asked, known
        Valid SMILES.
    """
    against = fingerprints(known)
    return np.array(
        [max(DataStructs.BulkTanimotoSimilarity(one, against)) for one in fingerprints(asked)]
    )
