"""Atomic, typed files: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import glob
import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from drugtail.runtime.errors import DrugtailError

# Endings of what is not finished yet, and of a folder while another takes its place.
UNFINISHED, ASIDE = ".part", ".aside"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the body succeeds.

    A body that raises leaves nothing behind, and an existing `path` stays as it was.
    """
    temporary = _temporary_name(path)
    try:
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        # Not every library names the file that it could not write, and users know no temporary one.
        if error.filename is None or error.filename == str(temporary):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, marker: str) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it replaces `path` if the body succeeds.

    What was there is moved aside first: a process killed in between loses neither.

    Parameters
    ----------
    path
        The folder; a link to one stays a link.
    marker
        File by which such a folder is known, for example ``features.json``.

    Raises
    ------
    DrugtailError
        If `path` is no folder of that kind and holds something that the new one does not.
    """
    path = path.resolve()
    temporary = _temporary_name(path)
    aside = temporary.with_suffix(ASIDE)
    temporary.mkdir()
    try:
        yield temporary
        _refuse_foreign(path, temporary, marker)
        if path.exists():
            path.replace(aside)
        temporary.replace(path)
    finally:
        if aside.exists() and not path.exists():
            aside.replace(path)
        for left in (temporary, aside):
            shutil.rmtree(left, ignore_errors=True)


def _refuse_foreign(path: Path, replacement: Path, marker: str) -> None:
    if not path.exists() or (path / marker).is_file():
        return
    if not path.is_dir():
        raise DrugtailError(f"{path}: is a file; name a folder")
    foreign = {one.name for one in path.iterdir()} - {one.name for one in replacement.iterdir()}
    if foreign:
        raise DrugtailError(
            f"{path}: holds {sorted(foreign)[0]!r} and no {marker}, and would be replaced; name a "
            "folder of its own for the output, or empty this one"
        )


@contextmanager
def temporary_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that is removed after the body, however that ends."""
    temporary = _temporary_name(path)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary_name(path: Path) -> Path:
    """A name of our own beside `path`, after clearing up what killed processes left there.

    The name holds host and process, so that what a living process writes is not touched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.{platform.node()}-"
    for left in path.parent.glob(f"{glob.escape(prefix)}*"):
        process = left.name.removeprefix(prefix).split("-")[0]
        if not process.isdigit() or psutil.pid_exists(int(process)):
            continue
        if left.suffix == ASIDE and not path.exists():
            # Killed between the two moves.
            left.replace(path)
        elif left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    return path.with_name(f"{prefix}{os.getpid()}-{uuid.uuid4().hex[:8]}{UNFINISHED}")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN is refused: JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    DrugtailError
        If the file is absent or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DrugtailError(f"{path}: no such file; run the stage that makes it first") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DrugtailError(
            f"{path}: not a JSON file ({error}); delete it and run the stage that makes it again"
        ) from None
