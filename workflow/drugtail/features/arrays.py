"""Arrays of a featurized data set, mapped from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from drugtail.config.encoder import Form
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

Arrays = dict[str, NDArray[Any]]

# Form of features -> names of the arrays that it consists of on disk.
ARRAYS: dict[Form, tuple[str, ...]] = {
    "graph": ("atoms", "bonds", "bond_types", "atom_counts", "bond_counts"),
    "bits": ("bits",),
    "vector": ("values",),
    "graph_and_vector": (
        "atoms",
        "bonds",
        "bond_types",
        "atom_counts",
        "bond_counts",
        "values",
    ),
}


def load_arrays(folder: Path, form: Form = "graph") -> Arrays:
    """Memory-map the arrays of a featurized data set.

    Parameters
    ----------
    folder
        Folder that `drugtail featurize` wrote.
    form
        What its features must be.

    Raises
    ------
    DrugtailError
        If features are of another form, or an array is absent or not the one that
        ``features.json`` names.
    """
    names = ARRAYS[form]
    description = read_json(folder / "features.json")
    shapes = description.get("arrays") if isinstance(description, dict) else None
    if not isinstance(shapes, dict) or not set(names) <= set(shapes):
        raise DrugtailError(
            f"{folder / 'features.json'}: does not describe {', '.join(names)}; name the folder of "
            "the features that the encoder reads, or featurize again"
        )
    arrays, digests = {}, description.get("sha256", {})
    for name in names:
        path = folder / f"{name}.npy"
        try:
            if file_digest(path) != digests.get(name):
                raise DrugtailError(
                    f"{path}: is not the file that features.json names (SHA-256 "
                    f"{str(digests.get(name))[:16]}…); delete {folder} and featurize again"
                )
            # An empty array cannot be mapped: a data set may have no bond at all.
            mode: Literal["r"] | None = "r" if np.prod(shapes[name]) else None
            arrays[name] = np.load(path, mmap_mode=mode, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DrugtailError(
                f"{path}: cannot be read ({error}); delete {folder} and featurize again"
            ) from None
        if list(arrays[name].shape) != shapes[name]:
            raise DrugtailError(
                f"{path}: has shape {list(arrays[name].shape)}, features.json says "
                f"{shapes[name]}; delete {folder} and featurize again"
            )
    return arrays
