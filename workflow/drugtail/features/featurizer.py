"""What a featurizer is, and the registry of all there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from drugtail.config.encoder import Form
from drugtail.features.arrays import Arrays
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.registry import Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Featurizer(ABC):
    """A way to turn molecules into numbers.

    A subclass is registered with ``@FEATURIZERS.register("name")``; the first line of its docstring
    is what ``drugtail list featurizers`` shows. Most derive from `FingerprintFeaturizer` or
    `VectorFeaturizer`, which hand it molecules that are read already.

    Attributes
    ----------
    form : str
        What it gives: ``graph``, ``bits`` or ``vector``; encoders say which they read.
    """

    form: ClassVar[Form]

    @abstractmethod
    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """Return the arrays of some molecules, as `drugtail.features.arrays.ARRAYS` names them.

        Parameters
        ----------
        smiles
            Canonical SMILES of about 1,000 molecules of the data set, in its order.
        """


class FingerprintFeaturizer(Featurizer):
    """A fingerprint: which of F features a molecule has."""

    form: ClassVar[Form] = "bits"

    @abstractmethod
    def fingerprints(self, molecules: Iterator[Any]) -> NDArray[Any]:
        """Return the fingerprints, [n, F]: anything but 0 is a bit that is set.

        Parameters
        ----------
        molecules
            RDKit molecules.
        """

    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """See `Featurizer.arrays`; F is filled up to a multiple of 8 with bits never set."""
        found = _rows(self.fingerprints(_molecules(smiles)), smiles, type(self).__name__)
        return {"bits": np.packbits(found != 0, axis=1)}


class VectorFeaturizer(Featurizer):
    """F numbers for each molecule: counts, descriptors, an embedding from elsewhere."""

    form: ClassVar[Form] = "vector"

    @abstractmethod
    def vectors(self, molecules: Iterator[Any]) -> NDArray[Any]:
        """Return the vectors, [n, F], all of them finite.

        Parameters
        ----------
        molecules
            RDKit molecules.
        """

    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """See `Featurizer.arrays`.

        Raises
        ------
        DrugtailError
            If a number is not finite; the message names the molecule and the column.
        """
        name = type(self).__name__
        found = _rows(self.vectors(_molecules(smiles)), smiles, name).astype(np.float32)
        wrong = np.argwhere(~np.isfinite(found))
        if len(wrong):
            row, column = wrong[0]
            raise DrugtailError(
                f"featurizer {name}: gives {found[row, column]} in column {column} for "
                f"{smiles[row]}; replace or leave out what is not finite"
            )
        return {"values": found}


def _molecules(smiles: Sequence[str]) -> Iterator[Any]:
    # Here, since RDKit is not needed to know which featurizers there are.
    from drugtail.features.reading import parse_smiles

    return parse_smiles(smiles)


def _rows(found: Any, smiles: Sequence[str], name: str) -> NDArray[Any]:
    table = np.asarray(found)
    if table.ndim != 2 or len(table) != len(smiles):
        raise DrugtailError(
            f"featurizer {name}: gives an array of shape {list(table.shape)} for {len(smiles)} "
            f"molecules; it must be [{len(smiles)}, number of features]"
        )
    return table


FEATURIZERS: Registry[type[Featurizer]] = Registry("featurizer", "drugtail.features.featurizers")
