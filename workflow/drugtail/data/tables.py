"""Reading tables of any kind: every cell as text, every fault with its row."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path

import pandas as pd

from drugtail.config.base import meant
from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS
from drugtail.data.unpacking import check_size, gunzip, read_member
from drugtail.runtime.errors import DrugtailError

WEB_PAGE = (b"<!doctype", b"<html", b"<?xml")
PACKED = (".gz", ".zip", ".gzip")
FOUND = Layout()
# Letters of a list of columns in a message.
LONGEST_LIST = 500
OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"


def read_table(
    path: Path, columns: list[str] | None = None, layout: Layout = FOUND
) -> pd.DataFrame:
    """Read a table with every cell as the text that stands there.

    Its kind is seen from its content, whatever its name: delimited text, SMI, SDF, XLSX or Parquet,
    plain, gzipped or alone in a zip archive.

    Parameters
    ----------
    path
        The file.
    columns
        Columns that must be there.
    layout
        What is declared of the file: format, encoding, separator, header, sheet.

    Raises
    ------
    DrugtailError
        If the file is absent, empty, a web page, cut short, in another encoding, has rows of the
        wrong length, lacks one of `columns`, or has two of one name.
    """
    wanted = columns or []
    content = unpacked(path)
    if content[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(WEB_PAGE):
        start = content[:64].decode("utf-8-sig", errors="replace").strip()
        raise DrugtailError(
            f"{path}: is a web page, not a table (it starts with {start[:40]!r}); the address "
            "probably answered with an error page"
        )
    kind = FORMATS[layout.format or recognised(content, path)]()
    frame = kind.read(content, layout, wanted, path)
    names = [str(name) for name in frame.columns]
    if repeated := [name for name in names if name and names.count(name) > 1]:
        raise DrugtailError(
            f"{path}: column {repeated[0]!r} stands twice in the header; rename or remove one"
        )
    missing = [column for column in wanted if column not in names]
    if missing:
        raise DrugtailError(
            f"{path}: column {missing[0]!r} is missing{meant(missing[0], names)}; the file has: "
            f"{_listed(names)}. Name another column, or correct the file; if it has no header, "
            "name its columns in `header` (--header on the command line)"
        )
    if frame.empty:
        raise DrugtailError(f"{path}: has a header but no rows")
    return frame


def _listed(names: list[str]) -> str:
    """Names of columns for a message, at most some lines of them."""
    text = ", ".join(names)
    return text if len(text) <= LONGEST_LIST else f"{text[:LONGEST_LIST]} …"


def recognised(content: bytes, path: Path) -> str:
    """Return the name of the format of an unpacked file."""
    if content.startswith(OLD_WORKBOOK):
        raise DrugtailError(
            f"{path}: is an Excel workbook of the old kind (.xls); save it as .xlsx or CSV"
        )
    name = path.name.lower()
    while name.endswith(PACKED):
        name = name[: name.rfind(".")]
    kinds = sorted((FORMATS[kind].rank, kind) for kind in FORMATS.names())
    return next(kind for _, kind in kinds if FORMATS[kind]().recognises(content, name))


def unpacked(path: Path) -> bytes:
    """Return the content of a file, unpacked if it is packed, whatever its name."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        advice = "; run `drugtail fetch` first" if path.parent.name == "raw" else ""
        raise DrugtailError(f"{path}: no such file{advice}") from None
    except IsADirectoryError:
        raise DrugtailError(f"{path}: is a folder; name a table") from None
    try:
        if content.startswith(b"\x1f\x8b"):
            return gunzip(content, path)
        if content.startswith(b"PK\x03\x04"):
            return _member(content, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DrugtailError(
            f"{path}: is a damaged gzip file or cut short ({error}); fetch it again"
        ) from None
    return content


def _member(content: bytes, path: Path) -> bytes:
    """Return the one file of a zip archive; a workbook, which is such an archive, as it is."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [
                name
                for name in archive.namelist()
                if not name.endswith("/") and not name.startswith("__MACOSX/")
            ]
            if "xl/workbook.xml" in names:
                # A member never gives more than the archive says of it.
                check_size(sum(one.file_size for one in archive.infolist()), len(content), path)
                return content
            if len(names) != 1:
                raise DrugtailError(
                    f"{path}: is a zip archive of {len(names)} files ({', '.join(names[:5])}); "
                    "unpack it and name one"
                )
            return read_member(archive, names[0], len(content), path)
    # Of a locked member zipfile says RuntimeError, of an unknown packing NotImplementedError.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DrugtailError(
            f"{path}: is a damaged zip archive, or a locked one ({error}); fetch it again"
        ) from None
