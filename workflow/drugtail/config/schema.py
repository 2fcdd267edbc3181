"""JSON schemas of the YAML files, with which editors complete and check them."""

from __future__ import annotations

from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from drugtail.config.benchmark import Benchmark
from drugtail.config.dataset import Dataset
from drugtail.config.encoder import package_kinds
from drugtail.config.recipe import Recipe
from drugtail.config.table import Table
from drugtail.runtime.files import write_json

COMMAND = "drugtail schemas config/schemas"
KINDS: dict[str, Any] = {
    "benchmark": Benchmark,
    "dataset": Dataset,
    "encoder": reduce(or_, package_kinds().values()),
    "method": Recipe,
    "table": Table,
}


def write_schemas(folder: Path) -> None:
    """Write ``{kind}.json`` for every kind of YAML file.

    They know the components of the package, not those of plugins, and keys and types, not what
    depends on other files; ``drugtail check`` knows all.

    Parameters
    ----------
    folder
        Where; it is made if absent.
    """
    for kind in KINDS:
        write_json(folder / f"{kind}.json", schema(kind))


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of one of `KINDS`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"Generated; renew with: {COMMAND}",
        **TypeAdapter(KINDS[kind]).json_schema(),
    }
