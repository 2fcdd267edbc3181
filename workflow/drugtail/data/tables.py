"""Reading published tables: every cell as text, every fault with its row."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd

from drugtail.runtime.errors import DrugtailError


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a CSV (gzipped or not) with every cell as the text that stands there.

    A byte-order mark, any line ends, quoted fields and non-ASCII text are fine.

    Parameters
    ----------
    path
        The file.
    columns
        Columns that must be there.

    Raises
    ------
    DrugtailError
        If the file is empty, is a web page, is cut short, is not UTF-8, has rows of the wrong
        length, or lacks one of `columns`.
    """
    head = _first_bytes(path)
    if not head.strip():
        raise DrugtailError(f"{path}: is empty; delete it and fetch it again")
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise DrugtailError(
            f"{path}: is a web page, not a table (it starts with {head.strip()[:40]!r}); the "
            "address probably answered with an error page"
        )
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DrugtailError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from None
    except pd.errors.ParserError as error:
        raise DrugtailError(f"{path}: is not a proper CSV ({error}); mend that row") from None
    except EOFError:
        raise DrugtailError(f"{path}: is cut short (gzip ends early); fetch it again") from None
    frame.columns = frame.columns.str.strip()
    missing = [column for column in columns or [] if column not in frame.columns]
    if missing:
        raise DrugtailError(
            f"{path}: column {missing[0]!r} is missing; the file has: {', '.join(frame.columns)}. "
            "Correct the file or the register's columns"
        )
    if frame.empty:
        raise DrugtailError(f"{path}: has a header but no rows")
    return frame


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as handle:
            head = handle.read(512)
        if head[:2] == b"\x1f\x8b":
            with gzip.open(path) as handle:
                head = handle.read(512)
    except FileNotFoundError:
        raise DrugtailError(f"{path}: no such file") from None
    except (gzip.BadGzipFile, EOFError) as error:
        raise DrugtailError(f"{path}: is a damaged gzip file ({error}); fetch it again") from None
    return head.removeprefix(b"\xef\xbb\xbf")
