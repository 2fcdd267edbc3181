"""Writing the register and the benchmark that a recommendation runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drugtail.config.base import NAME
from drugtail.config.catalogue import read_dataset
from drugtail.config.dataset import Dataset
from drugtail.config.layout import Layout
from drugtail.config.yaml_reader import read_yaml
from drugtail.data.inspect import inspect_table
from drugtail.data.inspection import describe, register_text, write_register
from drugtail.data.tables import FOUND
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import write_text
from drugtail.runtime.invocation import running
from drugtail.runtime.logging import say

# The method that gains and losses are counted from: what one would take without a thought.
REFERENCE = "random_forest"
# In two parts of the study (docs/study.md) these were among the best of their families.
METHODS = (
    REFERENCE, "balanced_random_forest", "lightgbm", "nearest_neighbours", "cross_entropy",
    "balanced_softmax", "class_distance", "prior_adjusted_ensemble",
)  # fmt: skip
NETWORKS = ("morgan_mlp",)
THOROUGH_NETWORKS = ("morgan_mlp", "gcn")
# Five folds that keep parent compounds together.
SPLITS = ("cv-1x5",)
HEAD = """\
# Written by `drugtail recommend`, which refuses it once it is changed. To go on from here, change
# it and run it with: {command}
"""


@dataclass(frozen=True)
class Table:
    """The table that is asked about, and what the user knows of it.

    Attributes
    ----------
    path
        The file.
    name
        Name of the data set; None takes that of the file.
    smiles, label, above, below, layout
        As of `drugtail.data.inspect.inspect_table`.
    """

    path: Path
    name: str | None = None
    smiles: str | None = None
    label: str | None = None
    above: float | None = None
    below: float | None = None
    layout: Layout = FOUND

    def says_nothing(self) -> bool:
        """Return whether everything is to be found in the table."""
        given = (self.smiles, self.label, self.above, self.below)
        return all(one is None for one in given) and self.layout == FOUND


def register_of(table: Table, config: Path) -> Path:
    """Return the register of a table, written if there is none yet.

    Parameters
    ----------
    table
        The table.
    config
        Folder of configuration; the register is ``datasets/{name}.yaml``.

    Raises
    ------
    DrugtailError
        If the name is taken by another data set, options say other than the register that is there,
        or the table's columns cannot be told.
    """
    name = table.name or re.sub(r"[^A-Za-z0-9_.]", "_", table.path.name.partition(".")[0])
    if not re.fullmatch(NAME, name):
        raise DrugtailError(f"--name {name}: is no name; letters, digits, _ and . only")
    target = config / "datasets" / f"{name}.yaml"
    if target.exists():
        _refuse_other(read_dataset(target), target, table)
        if table.says_nothing():
            say(f"{target}: is there and taken as it stands")
            return target
    found = inspect_table(
        table.path, table.smiles, table.label, table.layout, above=table.above, below=table.below
    )
    say(describe(found))
    if found.tasks:
        raise DrugtailError(
            f"{table.path}: {len(found.tasks)} columns of 0 and 1 are a question each; ask one "
            f"at a time, for example: --label {found.tasks[0]} --name {name}_{found.tasks[0]}"
        )
    if target.exists():
        if register_text(found, target)[1] != target.read_text(encoding="utf-8"):
            raise DrugtailError(
                f"{target}: is there already and says otherwise how {table.path} is read; change "
                "it there and leave the options out, or delete it, or give another --name"
            )
        return target
    write_register(found, target)
    say(f"{target}: written; correct it if a column was taken for the wrong thing, and start again")
    return target


def _refuse_other(dataset: Dataset, target: Path, table: Table) -> None:
    """Refuse a register that is of another table."""
    paths = [source.path for file in dataset.files for source in file.sources if source.path]
    if table.path.resolve() not in [Path(path).resolve() for path in paths]:
        raise DrugtailError(
            f"{target}: is another data set, not {table.path}; give this one a name of its own: "
            "--name NAME"
        )


def benchmark_of(dataset: Dataset, register: Path, config: Path, *, thorough: bool) -> Path:
    """Return the benchmark that compares methods on a table, written if there is none yet.

    Parameters
    ----------
    dataset, register
        The data set and its file.
    config
        Folder of configuration; the benchmark is ``benchmarks/recommend_{name}.yaml``, of a
        thorough one ``recommend_{name}_thorough.yaml``.
    thorough
        Also compare graph networks.

    Raises
    ------
    DrugtailError
        If there is another benchmark of that name.
    """
    name = f"recommend_{dataset.name}{'_thorough' if thorough else ''}"
    target = config / "benchmarks" / f"{name}.yaml"
    settings = _settings(dataset, name, thorough=thorough)
    if not target.exists():
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=98)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text(target, HEAD.format(command=running(target)) + text)
        say(f"{target}: written")
    elif read_yaml(target) != settings:
        raise DrugtailError(
            f"{target}: was changed, so it is a benchmark of your own now; run it with "
            f"`{running(target)}`, or delete it to have it written anew"
        )
    return target


def _settings(dataset: Dataset, name: str, *, thorough: bool) -> dict[str, Any]:
    return {
        "name": name,
        "title": f"Which method for {dataset.title}?",
        "notes": [
            "Five folds by parent compound; one training seed for each. Settings are those of the "
            "recipes, none is tuned; networks are trained for 40 epochs."
        ],
        "datasets": [dataset.name],
        "splits": [*SPLITS],
        "methods": [*METHODS],
        "encoders": [*(THOROUGH_NETWORKS if thorough else NETWORKS)],
        "seeds": ["0-0"],
        "training": {"epochs": 40, "schedule_scale": 0.133},
        "prior_corrections": [0.5],
        "reference": REFERENCE,
        "tables": ["methods", "trade_off", "classes", "all_metrics"],
        "figures": ["class_sizes", "recall_by_class_size"],
    }
