"""Split strategies: their base class and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from drugtail.runtime.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SUBSETS = ("train", "valid", "test")
UNUSED = "unused"
PARENT = "parent"


class Strategy(ABC):
    """A way to cut a data set into train, valid and test.

    A subclass is registered with ``@STRATEGIES.register("name")``; the first line of its docstring
    is what ``drugtail list splits`` shows.

    Attributes
    ----------
    seeded : bool
        Whether there are many such splits, one per split seed: ``name-0``, ``name-1``, … If not
        there is one, called ``name``.
    folds : int
        Number of folds of a cross-validation, called ``name-R-F``; 0 for one split per seed.
    grouping : str or None
        What keeps molecules together if the split's name does not say it: ``parent`` or
        ``scaffold``; None for a published split, which is not drawn.
    regroupable : bool
        Whether the name of a split may say another grouping.
    requires : tuple of str
        Columns of molecules.parquet that not every data set has and `cut` reads: ``official``
        (subset of the published split), ``reactants``, or ``time``.
    fold : int
        The fold to cut, 0 … folds-1.
    facts : dict of str to int, float, str
        What `cut` wants to be said of the split; it stands in the split's summary.
    remarks : list of str
        What `cut` wants to be said on the terminal.
    """

    seeded: ClassVar[bool] = True
    folds: ClassVar[int] = 0
    grouping: ClassVar[str | None] = PARENT
    regroupable: ClassVar[bool] = True
    requires: ClassVar[tuple[str, ...]] = ()

    def __init__(self, fold: int = 0) -> None:
        self.fold = fold
        self.facts: dict[str, Any] = {}
        self.remarks: list[str] = []

    @abstractmethod
    def cut(self, molecules: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
        """Return the subset of each molecule.

        Parameters
        ----------
        molecules
            molecules.parquet, a row per molecule [N]: ``id``, ``smiles`` (canonical), ``parent``,
            ``scaffold`` (Bemis-Murcko; empty without rings), ``label`` (0 … C-1), ``label_name``,
            what `requires` names, and ``group`` (0 … G-1): molecules of one group must not stand
            in two subsets.
        rng
            Source of all chance; it depends on the data set, the strategy and the split seed.

        Returns
        -------
        numpy.ndarray
            ``train``, ``valid``, ``test`` or ``unused`` per molecule, strings [N].
        """


STRATEGIES: Registry[type[Strategy]] = Registry("split strategy", "drugtail.data.strategies")
"""Split strategies, a module each; see `drugtail.data.strategy`."""
