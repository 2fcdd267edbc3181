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
# Molecules whose similarities to all known ones are held at a time.
AT_ONCE = 64


def fingerprints(smiles: Sequence[str]) -> list[DataStructs.ExplicitBitVect]:
    """Morgan fingerprints (radius 2, 2,048 bits) of canonical SMILES, as `prepare` writes them.

    These say which atoms are aromatic, so that nothing has to be perceived anew but the rings: a
    parsing that checks everything takes three times as long.
    """
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    with rdBase.BlockLogs():
        return [generator.GetFingerprint(_parsed(text)) for text in smiles]


def _parsed(smiles: str) -> Chem.Mol:
    molecule = Chem.MolFromSmiles(smiles, sanitize=False)
    molecule.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(molecule)
    return molecule


def butina_clusters(smiles: Sequence[str], distance: float = DISTANCE) -> NDArray[np.int64]:
    """Return the Butina cluster of each molecule, 0 … K-1, the largest first.

    Only neighbours are stored, not all distances, so memory grows with their number alone.

    Parameters
    ----------
    smiles
        Canonical SMILES, [N].
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
        Canonical SMILES.
    """
    these, those = _on_bits(asked), _on_bits(known)
    sizes, against = those.sum(axis=1), those.T.tocsr()
    nearest = np.empty(len(asked))
    for first in range(0, len(asked), AT_ONCE):
        piece = these[first : first + AT_ONCE]
        shared = (piece @ against).toarray()
        either = piece.sum(axis=1)[:, None] + sizes - shared
        nearest[first : first + AT_ONCE] = (shared / either).max(axis=1)
    return nearest


def _on_bits(smiles: Sequence[str]) -> sparse.csr_array:
    """Fingerprints as a sparse matrix of ones, [N, 2048]: few bits of many are set."""
    found = [np.array(one.GetOnBits(), dtype=np.int32) for one in fingerprints(smiles)]
    columns = np.concatenate(found) if found else np.empty(0, dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum([len(one) for one in found])])
    ones = np.ones(len(columns), dtype=np.int32)
    return sparse.csr_array((ones, columns, starts), shape=(len(found), BITS))
