"""Formats of table files: their interface and their registry."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from drugtail.config.layout import Layout
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.registry import Registry

if TYPE_CHECKING:
    import pandas as pd


class TableFormat(ABC):
    """A kind of file that holds a table.

    A subclass is registered with ``@FORMATS.register("name")``; the first line of its docstring is
    what ``drugtail list formats`` shows.

    Attributes
    ----------
    rank : int
        Formats are asked in this order whether a file is theirs, lowest first.
    """

    rank: ClassVar[int] = 0

    @abstractmethod
    def recognises(self, content: bytes, name: str) -> bool:
        """Return whether a file is of this kind.

        Parameters
        ----------
        content
            The unpacked file.
        name
            Its name in lower case, without endings such as ``.gz``.
        """

    @abstractmethod
    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """Return the table, every cell as the text that stands there.

        Parameters
        ----------
        content
            The unpacked file.
        layout
            What is declared of it.
        wanted
            Columns that should be there; they help to find a separator.
        path
            The file, for messages.

        Raises
        ------
        DrugtailError
            If the file is damaged or has no such table; the message names file and row.
        """


# Encodings in which every byte is a letter, so that reading never fails.
ANY_BYTES = ("latin-1", "latin1", "iso-8859-1", "cp1252", "windows-1252", "iso-8859-15")
CONTROLS = re.compile("[\x80-\x9f]")

FORMATS: Registry[type[TableFormat]] = Registry("table format", "drugtail.data.formats")
"""Kinds of table files, a module each; see `drugtail.data.table_format`."""


def decoded(content: bytes, layout: Layout, path: Path) -> str:
    """Return a file's text.

    A byte-order mark says UTF-8 or UTF-16; else the declared encoding counts, and UTF-8 if none is.

    Raises
    ------
    DrugtailError
        If it is no such text; the message says in which line, and how to declare another encoding.
    """
    marks = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
    found = next((name for mark, name in marks if content.startswith(mark)), None)
    if found is None and layout.encoding is None and b"\0" in content:
        raise DrugtailError(
            f"{path}: holds zero bytes; it is no text, or UTF-16 without a mark: declare "
            "`encoding: utf-16-le` or utf-16-be of this file, or save it as UTF-8"
        )
    encoding = found or layout.encoding or "utf-8"
    try:
        text = content.decode(encoding)
    except LookupError:
        raise DrugtailError(
            f"{path}: encoding {encoding!r} is unknown; write utf-8, utf-16, latin-1 or cp1252"
        ) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        start = content.rfind(b"\n", 0, error.start) + 1
        end = content.find(b"\n", error.start)
        shown = content[start : end if end > 0 else None].decode("latin-1").strip()[:60]
        raise DrugtailError(
            f"{path}: is not {encoding.upper()} text: line {line} holds a byte that is none "
            f"({shown!r} as latin-1). Declare the encoding (`encoding: latin-1` or cp1252 of this "
            "file, --encoding on the command line), or save it as UTF-8"
        ) from None
    _check_guess(text, content, encoding, path)
    return text


def _check_guess(text: str, content: bytes, encoding: str, path: Path) -> None:
    """Refuse an encoding that any bytes pass for, where the text shows that it is another."""
    if encoding.lower().replace("_", "-") not in ANY_BYTES:
        return
    try:
        plain = content.decode("utf-8")
    except UnicodeDecodeError:
        plain = text
    if plain != text:
        place = next(i for i, (a, b) in enumerate(zip(text, plain, strict=False)) if a != b)
        raise DrugtailError(
            f"{path}: is UTF-8, in which it reads {plain[place : place + 20]!r}; as {encoding} it "
            f"would read {text[place : place + 20]!r}. Leave the encoding out"
        )
    odd = CONTROLS.search(text)
    if odd:
        line = text.count("\n", 0, odd.start()) + 1
        raise DrugtailError(
            f"{path}: line {line} holds a control character as {encoding}; it is in another "
            "encoding, probably cp1252 (Windows) or cp850 (DOS)"
        )
