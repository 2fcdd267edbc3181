"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
