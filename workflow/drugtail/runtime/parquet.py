"""Parquet files that say when they are not what was written.

Pages have checksums, which are verified when they are read. Of the rest of a file (names and types
of columns, number of rows, what stands in its header) the header keeps a SHA-256.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from drugtail.runtime.errors import DrugtailError, is_of_the_machine
from drugtail.runtime.files import atomic_path

METADATA_KEY = b"drugtail"
DIGEST_KEY = b"drugtail_sha256"


def write_parquet(
    path: Path,
    frame: pd.DataFrame,
    metadata: Mapping[str, Any] | None = None,
    *,
    compact: bool = False,
) -> None:
    """Write a frame atomically, with `metadata` (JSON-able) in the file's own header.

    With `compact` it takes longer and the file is up to a third smaller; nothing is rounded.
    """
    table = pa.Table.from_pandas(frame, preserve_index=False)
    header = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(metadata or {}).encode()}
    digest = _digest(_as_read(table.schema), header, len(table))
    table = table.replace_schema_metadata({**header, DIGEST_KEY: digest})
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            write_page_checksum=True,
            **(_compact(table) if compact else {}),
        )


def _as_read(schema: pa.Schema) -> pa.Schema:
    """Return a schema as it is in a file: some types have other names there, such as lists."""
    file = io.BytesIO()
    pq.write_table(schema.empty_table(), file)
    return pq.read_schema(file)


def _digest(schema: pa.Schema, header: Mapping[bytes, bytes], rows: int) -> bytes:
    """SHA-256 of what pages do not hold."""
    columns = [[field.name, str(field.type)] for field in schema]
    others = [[key.hex(), header[key].hex()] for key in sorted(header) if key != DIGEST_KEY]
    return hashlib.sha256(json.dumps([columns, others, rows]).encode()).hexdigest().encode()


def _compact(table: pa.Table) -> dict[str, Any]:
    """Return options with which a table of floating-point columns takes little room."""
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    others = [field.name for field in table.schema if field.name not in floats]
    # The bytes of floats are stored apart, so that those that hardly differ stand together.
    return {"compression_level": 19, "use_dictionary": others, "use_byte_stream_split": floats}


def read_parquet(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file.

    Raises
    ------
    DrugtailError
        If the file is absent, damaged, or lacks one of `columns`.
    """
    with _opened(path, columns or []) as file:
        table = file.read(columns)
        _check_read(file, table.schema, len(table), path)
        frame: pd.DataFrame = table.to_pandas()
    return frame


def read_parquet_pieces(path: Path, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
    """Read a Parquet file piece by piece, so that it need not fit into memory.

    Parameters
    ----------
    path, columns
        As in `read_parquet`.
    rows
        Most rows of a piece.

    Raises
    ------
    DrugtailError
        As `read_parquet`.
    """
    with _opened(path, columns) as file:
        seen, schema = 0, file.schema_arrow
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            seen, schema = seen + len(batch), batch.schema
            yield batch.to_pandas()
        _check_read(file, schema, seen, path)


def read_parquet_metadata(path: Path) -> dict[str, Any]:
    """Return what `write_parquet` was given as `metadata`; empty if there is none.

    Raises
    ------
    DrugtailError
        If the file is absent or damaged.
    """
    with _opened(path, []) as file:
        header = file.schema_arrow.metadata or {}
        metadata: dict[str, Any] = json.loads(header.get(METADATA_KEY, b"{}"))
    return metadata


@contextmanager
def _opened(path: Path, columns: list[str]) -> Iterator[pq.ParquetFile]:
    """Open a file, and check its header and its columns.

    What is wrong with it while it is read is an error that names it: on damaged content the
    libraries below raise what they like.
    """
    if path.is_dir():
        raise DrugtailError(f"{path}: is a folder; name a Parquet file")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_header(file, path)
            for column in columns:
                if column not in file.schema_arrow.names:
                    raise DrugtailError(
                        f"{path}: column {column!r} is missing; make the file again"
                    )
            yield file
    except DrugtailError:
        raise
    except FileNotFoundError:
        raise DrugtailError(f"{path}: no such file; run the stage that makes it first") from None
    except PermissionError as error:
        raise DrugtailError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:
        if is_of_the_machine(error):
            raise
        raise DrugtailError(_damaged(path, str(error) or type(error).__name__)) from None


def _check_header(file: pq.ParquetFile, path: Path) -> None:
    header = file.schema_arrow.metadata or {}
    if DIGEST_KEY not in header:
        # Somebody else wrote it, or an earlier version.
        return
    if header[DIGEST_KEY] != _digest(file.schema_arrow, header, file.metadata.num_rows):
        raise DrugtailError(_damaged(path, "its header is not the one that was written"))


def _check_read(file: pq.ParquetFile, schema: pa.Schema, rows: int, path: Path) -> None:
    # Arrow keeps the header twice, and reads pages by the other one.
    if schema.metadata != file.schema_arrow.metadata or rows != file.metadata.num_rows:
        raise DrugtailError(_damaged(path, "its header is not the one that was written"))


def _damaged(path: Path, why: str) -> str:
    return f"{path}: cannot be read as Parquet ({why[:300]}); delete it and run its stage again"
