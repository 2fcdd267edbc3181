"""From molecules.parquet to feature files, in parallel and with bounded memory."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from drugtail.config.base import validated
from drugtail.config.dataset import Molecules
from drugtail.features.arrays import ARRAYS, Arrays
from drugtail.features.choice import make_featurizer, module_of, parts_of
from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.file_vectors import FileVectors, is_file_vectors, load_vectors
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError, file_of
from drugtail.runtime.files import atomic_directory, write_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, read_parquet_pieces

CHUNK = 1000

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def featurize(
    molecules: Path,
    featurizer: str,
    output: Path,
    *,
    workers: int = 1,
    vectors: Mapping[str, Path] | None = None,
) -> None:
    """Write the features of all molecules into the folder `output`.

    Parameters
    ----------
    molecules
        ``molecules.parquet`` of the data set.
    featurizer
        Name of a registered featurizer, for example ``atoms``, or several joined by +.
    output
        Folder with an array per file, as `drugtail.features.arrays.ARRAYS` names them; also gets
        ``features.json`` (form, numbers, shapes, SHA-256 of every array).
    workers
        Processes. At most three chunks of 1,000 molecules are held for each, and arrays grow on
        disk. Their pages count as memory while the files are finished: 0.7 GB for a million.
    vectors
        NAME -> file, for featurizers called ``vectors:NAME``.

    Raises
    ------
    DrugtailError
        If there is no such featurizer, or what it gives is not what it must, or a file of vectors
        lacks a molecule.
    """
    header = read_parquet_metadata(molecules)
    second = header.get("second")
    files = _read_files(featurizer, vectors or {}, molecules, header, workers)
    one = make_featurizer(featurizer, second, header.get("reads", "smiles"), files)
    pieces: Iterator[Any]
    if second is None:
        tables = read_parquet_pieces(molecules, ["smiles"], CHUNK)
        pieces = (table["smiles"].tolist() for table in tables)
    else:
        tables = read_parquet_pieces(molecules, ["smiles", "second"], CHUNK)
        pieces = ((table["smiles"].tolist(), table["second"].tolist()) for table in tables)
    with atomic_directory(output, marker="features.json") as folder:
        shapes = _append_all(folder, in_order(one.arrays, pieces, workers))
        if not shapes:
            raise DrugtailError(f"{molecules}: holds no molecule; run `drugtail prepare` again")
        if set(shapes) != set(ARRAYS[one.form]):
            raise DrugtailError(
                f"featurizer {featurizer!r}: gives {', '.join(shapes)}; features of the form "
                f"{one.form} are {', '.join(ARRAYS[one.form])}"
            )
        counted = "atom_counts" if "atom_counts" in shapes else ARRAYS[one.form][0]
        write_json(
            folder / "features.json",
            {
                "featurizer": featurizer,
                "form": one.form,
                # A model on features of a plugin's is not to be asked with another file's.
                "plugin": _plugin(featurizer),
                "vectors": {
                    name: {
                        "path": str(file.path),
                        "sha256": file_digest(file.path),
                        "width": file.width,
                        "columns": file.columns,
                    }
                    for name, file in files.items()
                },
                "second": second,
                # Features belong to these molecules and no others.
                "molecules_sha256": file_digest(molecules),
                "molecules": shapes[counted][0],
                "arrays": shapes,
                # So that the digest of this file, an input of training, is one of the content.
                "sha256": {name: file_digest(folder / f"{name}.npy") for name in shapes},
            },
        )


def _read_files(
    featurizer: str,
    vectors: Mapping[str, Path],
    molecules: Path,
    header: Mapping[str, Any],
    workers: int,
) -> dict[str, FileVectors]:
    """Vectors from files, by the names of the featurizers that read them."""
    names = [name for name in parts_of(featurizer) if is_file_vectors(name)]
    if not names:
        return {}
    rules = validated(Molecules, header.get("molecules", {}), molecules)
    return load_vectors(names, vectors, rules, read_parquet(molecules, ["id", "smiles"]), workers)


def _plugin(featurizer: str) -> dict[str, str] | None:
    """Path and SHA-256 of the file that a featurizer is from; None if it is the package's."""
    own = [name for name in parts_of(featurizer) if module_of(name) is None]
    paths = {file_of(FEATURIZERS[name]) for name in own}
    if not paths:
        return None
    if len(paths) > 1:
        raise DrugtailError(
            f"featurizer {featurizer!r}: is of several files ({', '.join(sorted(paths))}); put "
            "them into one"
        )
    path = paths.pop()
    return {"path": path, "sha256": file_digest(Path(path))}


def in_order(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], workers: int
) -> Iterator[Result]:
    """Like ``map``, in several processes, and never more than twice as many pieces ahead.

    An executor's own ``map`` takes all pieces at once and keeps what is finished early.
    """
    if workers <= 1:
        yield from map(work, pieces)
        return
    # A copy of this process knows what plugins have registered.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        waiting: deque[Future[Result]] = deque()
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _append_all(folder: Path, chunks: Iterator[Arrays]) -> dict[str, list[int]]:
    """Append the arrays of all chunks to ``{name}.npy`` files without holding them in memory.

    Returns the shapes; of no chunk there are none.
    """
    first = next(chunks, {})
    shapes = {name: [0, *array.shape[1:]] for name, array in first.items()}
    handles = {name: (folder / f"{name}.raw").open("wb") for name in first}
    for chunk in chain([first], chunks):
        for name, values in chunk.items():
            handles[name].write(np.ascontiguousarray(values).tobytes())
            shapes[name][0] += len(values)
    for name, handle in handles.items():
        handle.close()
        _with_header(folder, name, first[name].dtype, tuple(shapes[name]))
    return shapes


def _with_header(folder: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Turn raw bytes into an .npy file, a piece at a time."""
    target = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
    raw = folder / f"{name}.raw"
    if target.size:
        source = np.memmap(raw, dtype=dtype, mode="r", shape=shape)
        step = 1 << 20
        for start in range(0, shape[0], step):
            target[start : start + step] = source[start : start + step]
        target.flush()
    raw.unlink()
