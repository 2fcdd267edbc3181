"""Reading published tables: every cell as text, every fault with its row."""

from __future__ import annotations

import csv
import gzip
import zlib
from pathlib import Path
from typing import IO

import pandas as pd

from drugtail.runtime.errors import DrugtailError

WEB_PAGE = ("<!doctype", "<html", "<?xml")


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a CSV (gzipped or not) with every cell as the text that stands there.

    A byte-order mark, any line ends, empty lines, quoted fields and non-ASCII text are fine.

    Parameters
    ----------
    path
        The file.
    columns
        Columns that must be there.

    Raises
    ------
    DrugtailError
        If the file is absent, empty, a web page, cut short, not UTF-8, has rows of the wrong
        length, lacks one of `columns`, or has two of one name.
    """
    try:
        with path.open("rb") as raw:
            _refuse_web_page(path, raw.read(64).decode("utf-8-sig", errors="replace"))
        with _opened(path) as handle:
            _refuse_web_page(path, handle.read(64))
            handle.seek(0)
            rows = [row for row in csv.reader(handle, strict=True) if row]
    except FileNotFoundError:
        raise DrugtailError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DrugtailError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DrugtailError(
            f"{path}: is a damaged gzip file or cut short ({error}); fetch it again"
        ) from None
    except csv.Error as error:
        raise DrugtailError(f"{path}: is not a proper CSV ({error}); mend that row") from None
    if not any(cell.strip() for row in rows for cell in row):
        raise DrugtailError(f"{path}: is empty; delete it and fetch it again")
    header, *body = rows
    names = [name.strip() for name in header]
    if repeated := [name for name in names if name and names.count(name) > 1]:
        raise DrugtailError(
            f"{path}: column {repeated[0]!r} stands twice in the header; rename or remove one"
        )
    for number, row in enumerate(body, start=1):
        if len(row) != len(names):
            raise DrugtailError(
                f"{path}: is not a proper CSV (row {number} has {len(row)} fields, the header "
                f"{len(names)}); mend that row"
            )
    missing = [column for column in columns or [] if column not in names]
    if missing:
        raise DrugtailError(
            f"{path}: column {missing[0]!r} is missing; the file has: {', '.join(names)}. "
            "Correct the file or the register's columns"
        )
    if not body:
        raise DrugtailError(f"{path}: has a header but no rows")
    return pd.DataFrame(body, columns=names, dtype=str)


def _refuse_web_page(path: Path, start: str) -> None:
    if start.lstrip().lower().startswith(WEB_PAGE):
        raise DrugtailError(
            f"{path}: is a web page, not a table (it starts with {start.strip()[:40]!r}); the "
            "address probably answered with an error page"
        )


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
