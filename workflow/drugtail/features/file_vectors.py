"""Vectors of molecules from a file of the user's, such as the embeddings of another model."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from drugtail.config.dataset import Molecules
from drugtail.config.encoder import Form
from drugtail.features.arrays import Arrays
from drugtail.features.featurizer import Featurizer
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import counted, say

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "vectors:"
KEYS = ("smiles", "id")
# Columns that are no part of a vector: what is to be predicted, and numbers of rows.
FOREIGN = ("label", "label_name", "class", "row", "index")
# Errors of pandas, pyarrow and NumPy about a file that is not one of these formats.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class FileVectors(Featurizer):
    """Vectors of molecules from a file of yours, by SMILES or by id: `vectors:NAME`.

    Parameters
    ----------
    path
        CSV or TSV (also gzipped), Parquet or NPZ. It has one of the columns ``smiles`` and ``id``
        and, besides, a column for each number of the vector, or one column of lists. In an NPZ file
        these are the arrays ``smiles`` or ``id``, [N], and ``vectors``, [N, F].
    rules
        How the molecules of the data set were read; SMILES of the file are read alike.
    molecules
        ``id`` and ``smiles`` of the data set's molecules; needed for a file by id.
    workers
        Processes that read SMILES.

    Raises
    ------
    DrugtailError
        If the file cannot be read as such, has a column that is no part of a vector, a number is
        missing or not finite, or a molecule stands there twice with different vectors.

    Attributes
    ----------
    columns : list of str or None
        Names of the numbers; None where the file has none.
    """

    form: ClassVar[Form] = "vector"

    def __init__(
        self,
        path: Path,
        rules: Molecules | None = None,
        molecules: pd.DataFrame | None = None,
        workers: int = 1,
    ) -> None:
        self.path = path
        key, texts, self.values, self.columns = _read(path)
        self._rows = {text: row for row, text in reversed([*enumerate(texts)])}
        self._check_repeats(key, texts)
        if key == "id":
            self._by_id(molecules)
        else:
            # Here, since RDKit is not needed to know which featurizers there are.
            from drugtail.data.identity import identify_all

            found = identify_all(texts, rules or Molecules(), workers, whole=False)
            read = found["smiles"].tolist()
            self._check_repeats("smiles", read)
            self._say_unreadable(texts, found["reason"])
            self._rows = {
                **{text: row for row, text in reversed([*enumerate(read)]) if text},
                **self._rows,
            }
            if molecules is not None:
                # All at once, so that the number is that of the data set.
                asked = molecules["smiles"].tolist()
                self._check_known(asked, (molecules["id"] + " " + molecules["smiles"]).tolist())

    @property
    def width(self) -> int:
        """Numbers per molecule F."""
        return int(self.values.shape[1])

    def arrays(self, smiles: Sequence[str]) -> Arrays:
        """Return ``values``, float32 [n, F].

        Raises
        ------
        DrugtailError
            If a molecule is not in the file; the message counts them and names one.
        """
        self._check_known(smiles, smiles)
        return {"values": self.values[[self._rows[one] for one in smiles]]}

    def _check_known(self, keys: Sequence[str], names: Sequence[str]) -> None:
        lacking = [name for key, name in zip(keys, names, strict=True) if key not in self._rows]
        if lacking:
            raise DrugtailError(
                f"{self.path}: has no vector for {len(lacking):,} of {len(names):,} molecules "
                f"(for example {lacking[0]}); add them"
            )

    def _say_unreadable(self, texts: Sequence[str], reasons: pd.Series) -> None:
        """Say how many rows no molecule can be found by."""
        wrong = np.flatnonzero(reasons != "")
        if len(wrong):
            row = int(wrong[0])
            say(
                f"{self.path}: {counted(len(wrong), 'row')} of {len(texts):,} not used: no "
                f"molecule, for example row {row + 1}, {texts[row]!r} ({reasons.iloc[row]})"
            )

    def _check_repeats(self, key: str, texts: Sequence[str]) -> None:
        """Refuse one molecule with two vectors."""
        first: dict[str, int] = {}
        for row, text in enumerate(texts):
            other = first.setdefault(text, row)
            if text and other != row and not np.array_equal(self.values[row], self.values[other]):
                raise DrugtailError(
                    f"{self.path}: {key} {text!r} has different vectors in rows {other + 1} and "
                    f"{row + 1}; leave one"
                )

    def _by_id(self, molecules: pd.DataFrame | None) -> None:
        """Look molecules up by their text from here on, though the file knows them by id."""
        if molecules is None:
            raise DrugtailError(
                f"{self.path}: knows molecules by id; vectors of new molecules need a column smiles"
            )
        ids, smiles = molecules["id"].tolist(), molecules["smiles"].tolist()
        self._check_known(ids, ids)
        unused = len(self._rows.keys() - set(ids))
        if unused:
            say(f"{self.path}: {counted(unused, 'id')} of no molecule of the data set")
        rows = [self._rows[one] for one in ids]
        found: dict[str, int] = {}
        for text, row, one in zip(smiles, rows, ids, strict=True):
            other = found.setdefault(text, row)
            if not np.array_equal(self.values[row], self.values[other]):
                raise DrugtailError(
                    f"{self.path}: id {one} is the molecule {text}, which has another vector under "
                    "another id; give vectors by smiles"
                )
        self._rows = found


def describe_vectors(path: Path) -> str:
    """Return what a file of vectors holds, in words, without reading its molecules.

    Raises
    ------
    DrugtailError
        As `FileVectors`, but for what concerns molecules.
    """
    key, texts, values, _ = _read(path)
    return f"{counted(len(texts), 'vector')} of {counted(values.shape[1], 'number')}, by {key}"


def load_vectors(
    names: Sequence[str],
    files: Mapping[str, Path],
    rules: Molecules,
    molecules: pd.DataFrame | None = None,
    workers: int = 1,
) -> dict[str, FileVectors]:
    """Read the files of those featurizers that are called ``vectors:NAME``.

    Parameters
    ----------
    names
        Names of featurizers.
    files
        NAME -> file.
    rules, molecules, workers
        As for `FileVectors`.

    Raises
    ------
    DrugtailError
        If no file is named for one.
    """
    found = {}
    for name in names:
        if not is_file_vectors(name):
            continue
        path = files.get(name.removeprefix(PREFIX))
        if path is None:
            raise DrugtailError(no_file(name))
        found[name] = FileVectors(path, rules, molecules, workers)
        found[name].name = name
    return found


def is_file_vectors(name: str) -> bool:
    """Return whether a featurizer takes vectors from a file."""
    return name.startswith(PREFIX)


def no_file(name: str) -> str:
    """Return the message about a featurizer without a file."""
    short = name.removeprefix(PREFIX)
    return (
        f"featurizer {name!r}: no file of vectors is named for it; write "
        f"`vectors: {{{short}: FILE}}` in the benchmark, or --vectors {short}=FILE"
    )


def _read(path: Path) -> tuple[str, list[str], NDArray[np.float32], list[str] | None]:
    """Name of the key, the key of each row, the vectors, [N, F], and the names of the numbers."""
    if not path.is_file():
        raise DrugtailError(f"{path}: no such file; name the file with the vectors")
    if not path.stat().st_size:
        raise DrugtailError(f"{path}: is empty; name a file with vectors")
    try:
        table = _table(path)
    except UNREADABLE as error:
        raise DrugtailError(
            f"{path}: cannot be read as vectors ({str(error)[:200]}); give a CSV, TSV, Parquet or "
            "NPZ file"
        ) from None
    lower = {str(name).strip().lower(): name for name in table.columns}
    keys = [key for key in KEYS if key in lower]
    if len(keys) != 1:
        raise DrugtailError(
            f"{path}: has {'both columns' if keys else 'neither of the columns'} smiles and id; "
            "it needs one of them"
        )
    texts = table[lower[keys[0]]].fillna("").astype(str).str.strip().tolist()
    rest = table.drop(columns=lower[keys[0]])
    if not len(table) or not len(rest.columns):
        raise DrugtailError(f"{path}: holds no vector")
    names = [str(name).strip() for name in rest.columns]
    foreign = [n for n in names if n.lower() in FOREIGN or not n or n.startswith("Unnamed:")]
    if foreign:
        raise DrugtailError(
            f"{path}: column {foreign[0]!r} is no part of a vector; leave it out of the file"
        )
    numbers = _numbers(rest, path)
    # A column of lists and the arrays of NPZ files have no names.
    named = len(names) == numbers.shape[1] and names != [str(i) for i in range(len(names))]
    return keys[0], texts, numbers, names if named else None


def _table(path: Path) -> pd.DataFrame:
    """The file as a table: the key and a column of numbers each, or one column of lists."""
    import pandas as pd

    suffixes = [one.lower() for one in path.suffixes]
    if suffixes[-1:] == [".npz"]:
        with np.load(path, allow_pickle=False) as arrays:
            return _of_arrays({name: _array(arrays, name) for name in arrays.files}, path)
    if suffixes[-1:] in ([".parquet"], [".pq"]):
        return pd.read_parquet(path)
    separator = "\t" if ".tsv" in suffixes else ","
    names = pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8-sig").columns
    texts = {name: str for name in names if str(name).strip().lower() in KEYS}
    return pd.read_csv(
        path, sep=separator, dtype=texts, encoding="utf-8-sig", keep_default_na=False
    )


def _array(arrays: Any, name: str) -> NDArray[Any]:
    """One array of an NPZ file; text is to be stored as text, not as objects of Python."""
    try:
        found: NDArray[Any] = arrays[name]
    except ValueError:
        raise ValueError(f"array {name!r} holds objects; store it with astype(str)") from None
    return found


def _of_arrays(arrays: dict[str, NDArray[Any]], path: Path) -> pd.DataFrame:
    """A table of the arrays of an NPZ file."""
    import pandas as pd

    vectors = arrays.pop("vectors", None)
    if vectors is None:
        raise DrugtailError(
            f"{path}: has no array 'vectors', [N, F]; there are {', '.join(arrays) or 'none'}"
        )
    if vectors.ndim != 2:
        raise DrugtailError(f"{path}: array 'vectors' has shape {list(vectors.shape)}, not [N, F]")
    for name, array in arrays.items():
        if array.shape != (len(vectors),):
            raise DrugtailError(
                f"{path}: array {name!r} has shape {list(array.shape)}, and there are "
                f"{len(vectors):,} vectors; give each vector one {name}"
            )
    return pd.DataFrame(vectors).assign(**arrays)


def _numbers(table: pd.DataFrame, path: Path) -> NDArray[np.float32]:
    """Columns of numbers, or one of lists, as float32 [N, F]."""
    import pandas as pd

    if len(table.columns) == 1 and isinstance(table.iloc[0, 0], np.ndarray | list):
        lists = table.iloc[:, 0]
        lengths = lists.map(np.size)
        if (lengths != lengths.iloc[0]).any():
            row = int((lengths != lengths.iloc[0]).to_numpy().argmax())
            raise DrugtailError(
                f"{path}: row {row + 1} has {lengths.iloc[row]} numbers, row 1 "
                f"{lengths.iloc[0]}; all vectors need as many"
            )
        table = pd.DataFrame(np.stack([np.atleast_1d(one) for one in lists]))
    numbers: NDArray[np.float32] = table.apply(pd.to_numeric, errors="coerce").to_numpy(
        dtype=np.float32
    )
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        row, column = wrong[0]
        raise DrugtailError(
            f"{path}: row {row + 1}, column {table.columns[column]!r}: "
            f"{str(table.iloc[row, column])[:40]!r} is no finite number; vectors need numbers"
        )
    return numbers
