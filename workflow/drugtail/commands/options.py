"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drugtail.config.layout import Layout

Folder = Annotated[Path, typer.Option(help="Folder to write into.")]
Replaced = Annotated[
    Path, typer.Option(help="Folder of its own for the output; replaced when it is there.")
]
ConfigFolder = Annotated[
    Path, typer.Option("--config-dir", help="Folder with datasets/, methods/, encoders/, tables/.")
]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", help="Python file of your own with what is named here; may be repeated."
    ),
]
VectorFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--vectors", help="NAME=FILE with vectors of the molecules, for featurizer vectors:NAME."
    ),
]
MethodFile = Annotated[
    Path | None, typer.Option(help="config/methods/<family>/<name>.yaml, to train by hand.")
]
EncoderFile = Annotated[
    Path | None, typer.Option(help="config/encoders/<name>.yaml, to train by hand.")
]
DatasetOption = Annotated[str, typer.Option(help="Name, or a file config/datasets/<name>.yaml.")]
BlockOption = Annotated[
    str | None,
    typer.Option(
        help="Folder below results/runs/ of a block of the plan that DRUGTAIL_PLAN names; instead "
        "of --method, --encoder, --set and --plugin."
    ),
]
Device = Annotated[str, typer.Option(envvar="DRUGTAIL_DEVICE", help="auto, cpu or cuda")]
Workers = Annotated[int, typer.Option(min=1, help="Processes to work with.")]
SmilesColumn = Annotated[str | None, typer.Option("--smiles", help="Column of the molecules.")]
LabelColumn = Annotated[str | None, typer.Option("--label", help="Column of the classes.")]
Above = Annotated[
    float | None, typer.Option(help="Numbers above it are one class, others the other.")
]
Below = Annotated[
    float | None, typer.Option(help="Numbers below it are one class, others the other.")
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of a text table, such as latin-1; default: UTF-8.")
]
Separator = Annotated[str | None, typer.Option(help="Between cells; default: found.")]
Header = Annotated[
    str | None,
    typer.Option(help="Names of the columns of a table without a header row: smiles,name,class."),
]
Sheet = Annotated[str | None, typer.Option(help="Sheet of a workbook with several.")]


def as_layout(
    encoding: str | None, separator: str | None, header: str | None, sheet: str | None
) -> Layout:
    """Return what these options declare of a table."""
    from drugtail.config.base import validated
    from drugtail.config.layout import Layout

    names = None if header is None else [name.strip() for name in header.split(",")]
    given = {"encoding": encoding, "separator": separator, "header": names, "sheet": sheet}
    return validated(Layout, given, "options of the table")
