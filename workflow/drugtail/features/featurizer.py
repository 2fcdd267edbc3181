"""Featurizers: their interface and their registry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from drugtail.config.encoder import Form
from drugtail.features.arrays import Arrays
from drugtail.runtime.errors import DrugtailError, fault_in, file_of
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
    reads : str
        What it is given: ``smiles`` of molecules, whole reactions (``reaction``), or ``sequence``
        for second inputs that are proteins.
    """

    form: ClassVar[Form]
    reads: ClassVar[str] = "smiles"
    # The name that it is registered under, for messages.
    name: str = ""

    @abstractmethod
    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """Return the arrays of some molecules, as `drugtail.features.arrays.ARRAYS` names them.

        Parameters
        ----------
        smiles
            Canonical SMILES of about 1,000 molecules of the data set, in its order; or reactions,
            or sequences, see `reads`.
        """


class FingerprintFeaturizer(Featurizer):
    """A fingerprint: which of F features a molecule has."""

    form: ClassVar[Form] = "bits"

    @abstractmethod
    def fingerprints(self, molecules: Iterator[Any]) -> NDArray[Any]:
        """Return the fingerprints, [n, F]: 1 or True is a bit that is set, 0 or False one not.

        Parameters
        ----------
        molecules
            RDKit molecules; the text itself of what `reads` says is none.
        """

    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """See `Featurizer.arrays`; F is filled up to a multiple of 8 with bits never set.

        Raises
        ------
        DrugtailError
            If a value is neither 0 nor 1; the message names the molecule and the column.
        """
        found = _rows(self, self.fingerprints, smiles)
        other = np.argwhere((found != 0) & (found != 1))
        if len(other):
            row, column = other[0]
            raise DrugtailError(
                f"featurizer {self.name!r}: gives {found[row, column]} in column {column} for "
                f"{smiles[row]}; a bit is 0 or 1. Derive from VectorFeaturizer to keep counts, or "
                "say which of them set the bit"
            )
        return {"bits": np.packbits(found.astype(bool), axis=1)}


class VectorFeaturizer(Featurizer):
    """F numbers for each molecule: counts, descriptors, an embedding from elsewhere."""

    form: ClassVar[Form] = "vector"

    @abstractmethod
    def vectors(self, molecules: Iterator[Any]) -> NDArray[Any]:
        """Return the vectors, [n, F], all of them finite; counts as uint8 take a quarter of disk.

        Parameters
        ----------
        molecules
            RDKit molecules; the text itself of what `reads` says is none.
        """

    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """See `Featurizer.arrays`.

        Raises
        ------
        DrugtailError
            If a number is not finite; the message names the molecule and the column.
        """
        found = _rows(self, self.vectors, smiles)
        if found.dtype != np.uint8:
            found = found.astype(np.float32)
        wrong = np.argwhere(~np.isfinite(found))
        if len(wrong):
            row, column = wrong[0]
            raise DrugtailError(
                f"featurizer {self.name!r}: gives {found[row, column]} in column {column} for "
                f"{smiles[row]}; replace or leave out what is not finite"
            )
        return {"values": found}


def _molecules(smiles: Sequence[str]) -> Iterator[Any]:
    # Here, since RDKit is not needed to know which featurizers there are.
    from drugtail.features.reading import parse_smiles

    return parse_smiles(smiles)


def _rows(
    featurizer: Featurizer, compute: Callable[[Iterator[Any]], Any], smiles: Sequence[str]
) -> NDArray[Any]:
    """Table of numbers of some molecules; what goes wrong in a user's file is one line."""
    named = f"featurizer {featurizer.name!r}"
    try:
        given = _molecules(smiles) if featurizer.reads == "smiles" else iter(smiles)
        table = np.asarray(compute(given))
    except DrugtailError:
        raise
    except Exception as error:
        raise DrugtailError(f"{named}: {fault_in(type(featurizer), error)}") from error
    if table.ndim != 2 or len(table) != len(smiles) or table.dtype.kind not in "biuf":
        raise DrugtailError(
            f"{named} ({file_of(type(featurizer))}): gives an array of shape {list(table.shape)} "
            f"and type {table.dtype} for {len(smiles)} molecules (they come about 1,000 at a "
            f"time); it must be numbers [{len(smiles)}, number of features]"
        )
    return table


FEATURIZERS: Registry[type[Featurizer]] = Registry("featurizer", "drugtail.features.featurizers")
