"""Unpacking what others have packed: a few kilobytes can hold gigabytes of nothing."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import IO, Protocol

from drugtail.runtime.errors import DrugtailError

# More than tables of molecules have, and less than fills a machine.
MOST_BYTES = 4 * 2**30
# Smaller files may be packed as tightly as they like.
UNSUSPECTED = 64 * 2**20
# Tables of text are packed to a tenth, and of zeros to less; zeros alone to a thousandth.
MOST_RATIO = 300
PIECE = 2**20


class Readable(Protocol):
    """Anything that is read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes; none at the end."""


def copy_within_limits(source: Readable, sink: IO[bytes], packed: int, path: Path) -> None:
    """Copy what is unpacked on the way, piece by piece.

    Parameters
    ----------
    source
        Unpacks as it is read.
    sink
        Where it goes.
    packed
        Bytes that it was packed to.
    path
        The packed file, for messages.

    Raises
    ------
    DrugtailError
        If it comes to more than `MOST_BYTES`, or to more than `UNSUSPECTED` and `MOST_RATIO` times
        what it was.
    """
    done = 0
    while piece := source.read(PIECE):
        done += len(piece)
        check_size(done, packed, path)
        sink.write(piece)


def check_size(unpacked: int, packed: int, path: Path) -> None:
    """Refuse a file that unpacks to more than `copy_within_limits` allows."""
    if unpacked > min(MOST_BYTES, max(UNSUSPECTED, MOST_RATIO * packed)):
        raise DrugtailError(
            f"{path}: unpacks to more than {unpacked / 2**20:,.0f} MiB from {packed:,} bytes; "
            "tables do not. If it is one, unpack it yourself and name that file"
        )


def gunzip(content: bytes, path: Path) -> bytes:
    """Return what a gzip file holds, within limits."""
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as source:
        copy_within_limits(source, sink, len(content), path)
    return sink.getvalue()


def read_member(archive: zipfile.ZipFile, name: str, size: int, path: Path) -> bytes:
    """Return one file of a zip archive of so many bytes, within limits."""
    sink = io.BytesIO()
    with archive.open(name) as source:
        copy_within_limits(source, sink, min(archive.getinfo(name).compress_size, size), path)
    return sink.getvalue()
