"""DeepChem's featurizers, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from drugtail.config.base import meant
from drugtail.features.featurizer import VectorFeaturizer
from drugtail.runtime.errors import DrugtailError

PREFIX = "deepchem:"


class DeepChemFeaturizer(VectorFeaturizer):
    """A featurizer of DeepChem that gives a row of numbers, with its default settings."""

    theirs: ClassVar[str]

    def vectors(self, molecules: Iterator[Any]) -> np.ndarray:
        """See `VectorFeaturizer.vectors`.

        Raises
        ------
        DrugtailError
            If DeepChem is not installed, has none of that name, it wants settings, or it gives no
            row of numbers.
        """
        try:
            # It takes five seconds to import.
            import deepchem.feat
        except ModuleNotFoundError as error:
            raise DrugtailError(
                f"featurizer {self.name!r}: the Python package {error.name} is not installed; "
                "install deepchem, which needs Python 3.11 or older"
            ) from error

        kind = getattr(deepchem.feat, self.theirs, None)
        if kind is None:
            known = [name for name in dir(deepchem.feat) if name[0].isupper()]
            raise DrugtailError(
                f"featurizer {self.name!r}: DeepChem has no featurizer {self.theirs!r}"
                f"{meant(self.theirs, known)}"
            )
        try:
            found = np.asarray(kind().featurize(list(molecules)))
        except (TypeError, ImportError, AttributeError) as error:
            raise DrugtailError(
                f"featurizer {self.name!r}: cannot be used with its default settings ({error})"
            ) from error
        if found.ndim != 2 or found.dtype.kind not in "biuf":
            raise DrugtailError(
                f"featurizer {self.name!r}: gives no row of numbers for each molecule, but an "
                f"array of shape {list(found.shape)} and type {found.dtype}; choose one that does, "
                "such as deepchem:CircularFingerprint"
            )
        return found


@lru_cache
def deepchem_featurizer(name: str) -> type[DeepChemFeaturizer]:
    """Return the class of a featurizer by its name with the prefix."""
    theirs = name.removeprefix(PREFIX)
    return type(f"DeepChem{theirs}", (DeepChemFeaturizer,), {"theirs": theirs})
