"""Names of splits: what a split is, in one word."""

from __future__ import annotations

import re
from typing import NamedTuple

SPLIT = re.compile(
    r"(?P<strategy>[A-Za-z][A-Za-z0-9_]*)(?:-(?P<seed>[0-9]+))?(?:-(?P<fold>[0-9]+))?"
    r"(?:-(?P<grouping>[A-Za-z_][A-Za-z0-9_.]*))?"
)
GROUPINGS = ("parent", "scaffold", "none")
"""Groupings that keep molecules together in a split, besides columns of a data set."""
# Written like a grouping, since it is the published split but for what it leaves out.
PURGED = ("official", "purged")
ALL_FOLDS = re.compile(r"([A-Za-z][A-Za-z0-9_]*)-([0-9]+)x([0-9]+)((?:-.*)?)")


class SplitName(NamedTuple):
    """The parts of a split's name, as in ``random-0``, ``cv-1-3`` or ``random-0-none``.

    Attributes
    ----------
    strategy : str
        How molecules are divided.
    seed : int or None
        Split seed, of cross-validation the repetition.
    fold : int or None
        Fold of a cross-validation.
    grouping : str or None
        What keeps molecules together, if not what the strategy takes by itself.
    """

    strategy: str
    seed: int | None = None
    fold: int | None = None
    grouping: str | None = None

    def __str__(self) -> str:
        """Return the name."""
        if self.strategy == "official_purged":
            return "-".join(PURGED)
        return "-".join(str(part) for part in self if part is not None)


def parse_split(name: str) -> SplitName:
    """Return the parts of a split's name.

    Raises
    ------
    ValueError
        If it is none.
    """
    match = SPLIT.fullmatch(name)
    if not match:
        raise ValueError(
            f"{name!r} is not a split; write a strategy and a split seed, for example random-0, or "
            "official (`drugtail list splits` shows all)"
        )
    if match["strategy"] == "official_purged":
        raise ValueError(f"{name!r}: write {'-'.join(PURGED)}")
    seed, fold = (None if match[key] is None else int(match[key]) for key in ("seed", "fold"))
    if (match["strategy"], match["grouping"]) == PURGED:
        return SplitName("official_purged")
    return SplitName(match["strategy"], seed, fold, match["grouping"])


def each_split(name: str) -> list[str]:
    """Return the names that a name stands for: of ``cv-5x5`` all 25, else itself."""
    match = ALL_FOLDS.fullmatch(name)
    if not match:
        return [name]
    strategy, repetitions, folds, grouping = match.groups()
    return [
        f"{strategy}-{repetition}-{fold}{grouping}"
        for repetition in range(int(repetitions))
        for fold in range(int(folds))
    ]
