"""Form of a table in its file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.base import Settings


class Layout(Settings):
    """Facts that a file does not show, or that should not be guessed; null is found by looking."""

    format: Literal["delimited", "smi", "sdf", "xlsx", "parquet", "json", "matrix"] | None = Field(
        None, description="Kind of table; null goes by the content, `drugtail list formats`."
    )
    encoding: str | None = Field(
        None, description="Encoding of text, such as latin-1; null: UTF-8, or UTF-16 with a mark."
    )
    separator: str | None = Field(
        None, min_length=1, max_length=1,
        description='Between cells: "," ";" "\\t" "|"; null finds it.',
    )  # fmt: skip
    header: list[str] | None = Field(
        None, description="Names of the columns of a file without a header row."
    )
    sheet: str | None = Field(None, description="Sheet of a workbook; null if it has only one.")
