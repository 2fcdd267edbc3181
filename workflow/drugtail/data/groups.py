"""Head, middle and tail classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GROUPS = ("head", "middle", "tail")


def class_groups(counts: Sequence[int]) -> list[str]:
    """Name the group of every class from its number of training molecules.

    Classes are ordered by size, equal sizes by number. With C >= 3 the first ceil(0.3 C) are
    head; of the m others round(m * 0.3 / 0.7) are tail and the rest middle. With C = 2 the larger
    is head and the smaller tail.

    Parameters
    ----------
    counts
        Training molecules per class, length C >= 2.

    Returns
    -------
    list of str
        ``head``, ``middle`` or ``tail`` per class, length C.
    """
    classes = len(counts)
    order = np.argsort(-np.asarray(counts), kind="stable")
    # Whole numbers: 0.3 * C in floating point rounds up too far for some C.
    head = 1 if classes == 2 else -(-3 * classes // 10)
    rest = classes - head
    tail = 1 if classes == 2 else (6 * rest + 7) // 14
    groups = [""] * classes
    for rank, label in enumerate(order):
        groups[label] = "head" if rank < head else "tail" if rank >= classes - tail else "middle"
    return groups
