"""Featurizers by the names that encoders give them: one, or several joined by +."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from drugtail.config.encoder import Form
from drugtail.features.arrays import Arrays
from drugtail.features.deepchem import PREFIX as DEEPCHEM
from drugtail.features.deepchem import DeepChemFeaturizer, deepchem_featurizer
from drugtail.features.featurizer import FEATURIZERS, Featurizer
from drugtail.features.file_vectors import PREFIX as VECTORS
from drugtail.features.file_vectors import FileVectors, is_file_vectors, no_file
from drugtail.runtime.errors import DrugtailError

JOIN = "+"
# Featurizers that are no module each, but are named after something: as they are written -> class.
NAMED_AFTER: dict[str, type[Featurizer]] = {
    f"{DEEPCHEM}NAME": DeepChemFeaturizer,
    f"{VECTORS}NAME": FileVectors,
}


class Features(NamedTuple):
    """Form of the features that featurizers give together, and what they read."""

    form: Form
    reads: str


class GivesArrays(Protocol):
    """Anything that gives arrays of molecules."""

    def arrays(self, given: Any, /) -> Arrays:
        """Return the arrays of some molecules."""


class Computes(GivesArrays, Protocol):
    """Anything that gives arrays of a form."""

    @property
    def form(self) -> Form:
        """Form of the features."""


def parts_of(name: str) -> list[str]:
    """Return the featurizers that a name joins: ``atoms+morgan`` joins two."""
    return name.split(JOIN)


def is_librarys(name: str) -> bool:
    """Return whether a name is that of a featurizer of DeepChem's: ``deepchem:NAME``."""
    return name.startswith(DEEPCHEM)


def class_of(name: str) -> type[Featurizer]:
    """Return the class of one featurizer; DeepChem is asked for one of its own when it is used.

    Raises
    ------
    DrugtailError
        If there is none of that name.
    """
    if is_librarys(name):
        return deepchem_featurizer(name)
    if is_file_vectors(name):
        return FileVectors
    if name not in FEATURIZERS.names():
        raise DrugtailError(
            f"featurizer {name!r}: there is none; there are {', '.join(FEATURIZERS.names())}; one "
            "of your own needs its file: --plugin"
        )
    return FEATURIZERS[name]


def module_of(name: str) -> str | None:
    """Return the package's module that one featurizer comes from; None for a plugin's."""
    if is_librarys(name):
        return "drugtail.features.deepchem"
    if is_file_vectors(name):
        return "drugtail.features.file_vectors"
    return FEATURIZERS.module(name)


def features_of(name: str, parts: Sequence[type[Featurizer]]) -> Features:
    """Return what featurizers give together.

    Bits and bits are bits, a graph and anything else a graph with a vector, and the rest vectors.

    Raises
    ------
    DrugtailError
        If they are given different things, or there are two graphs among them.
    """
    named = parts_of(name)
    if len(set(named)) < len(named):
        raise DrugtailError(f"featurizer {name!r}: joins one with itself; name it once")
    reads = {part.reads for part in parts}
    if len(reads) > 1:
        raise DrugtailError(
            f"featurizer {name!r}: joins what reads {' and '.join(sorted(reads))}; all must read "
            "the same"
        )
    forms = [part.form for part in parts]
    if forms.count("graph") > 1:
        raise DrugtailError(f"featurizer {name!r}: joins two graphs; a molecule has one")
    if len(forms) == 1:
        form = forms[0]
    elif "graph" in forms:
        form = "graph_and_vector"
    else:
        form = "bits" if set(forms) == {"bits"} else "vector"
    return Features(form, reads.pop())


class _Joined:
    """Several featurizers of the same molecules, with their numbers side by side."""

    def __init__(self, parts: Sequence[Featurizer], form: Form) -> None:
        self.parts, self.form = parts, form

    def arrays(self, given: Sequence[str]) -> Arrays:
        """Return the arrays of some molecules."""
        found = [part.arrays(given) for part in self.parts]
        if self.form == "bits":
            return {"bits": np.concatenate([one["bits"] for one in found], axis=1)}
        graph = next((one for one in found if "atoms" in one), {})
        numbers = [_as_numbers(one) for one in found if "atoms" not in one]
        return {**graph, "values": np.concatenate(numbers, axis=1)}


def _as_numbers(arrays: Arrays) -> np.ndarray:
    return np.unpackbits(arrays["bits"], axis=1) if "bits" in arrays else arrays["values"]


class _WithSecond:
    """A featurizer of molecules, with the numbers of a second input joined to its own."""

    def __init__(self, first: Computes, second: Computes) -> None:
        self.first, self.second, self.form = first, second, first.form

    def arrays(self, given: tuple[Sequence[str], Sequence[str]]) -> Arrays:
        """Return the arrays of some molecules and their second inputs."""
        one, two = self.first.arrays(given[0]), self.second.arrays(given[1])
        return {name: np.concatenate([one[name], two[name]], axis=1) for name in one}


def make_featurizer(
    name: str,
    second: Mapping[str, Any] | None = None,
    reads: str = "smiles",
    files: Mapping[str, Featurizer] | None = None,
) -> Computes:
    """Return a featurizer by name.

    Parameters
    ----------
    name
        Of the molecules; several joined by +.
    second
        Settings of a second input (`drugtail.config.dataset.SecondInput`), if the data set has one.
        Then it is given pairs: molecules, and their second inputs.
    reads
        What it is given, see `Featurizer`.
    files
        Name of a featurizer that takes vectors from a file -> the featurizer with its file, see
        `drugtail.features.file_vectors.load_vectors`.

    Raises
    ------
    DrugtailError
        If there is none of that name, it does not read what it would be given, or its features
        cannot be joined.
    """
    first = _made(name, reads, files or {})
    if second is None:
        return first
    other = _made(second["featurizer"], second["kind"], files or {})
    if first.form != other.form or first.form not in ("bits", "vector"):
        raise DrugtailError(
            f"featurizer {name!r} gives {first.form}, and {second['featurizer']!r}, of the second "
            f"input, {other.form}: only bits are joined to bits, and vectors to vectors; use an "
            "encoder that reads them, such as morgan_mlp"
        )
    return _WithSecond(first, other)


def _made(name: str, reads: str, files: Mapping[str, Featurizer]) -> Computes:
    parts = [_named(part, files) for part in parts_of(name)]
    found = features_of(name, [type(part) for part in parts])
    if found.reads != reads:
        fitting = [one for one in FEATURIZERS.names() if FEATURIZERS[one].reads == reads]
        raise DrugtailError(
            f"featurizer {name!r} reads {found.reads}, and is given {reads}; choose "
            f"{', '.join(fitting)}"
        )
    return parts[0] if len(parts) == 1 else _Joined(parts, found.form)


def _named(name: str, files: Mapping[str, Featurizer]) -> Featurizer:
    if is_file_vectors(name):
        if name not in files:
            raise DrugtailError(no_file(name))
        return files[name]
    one = class_of(name)()
    one.name = name
    return one
