"""Finding what an option names: in the plan in force, in a file, in the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from drugtail.runtime.errors import DrugtailError

if TYPE_CHECKING:
    from drugtail.benchmark.plan import Plan
    from drugtail.config.dataset import Dataset
    from drugtail.config.encoder import Encoder
    from drugtail.config.recipe import Recipe, Space
    from drugtail.config.table import Table
    from drugtail.config.training import Training
    from drugtail.plugins import Plugin

CONFIG = Path("config")


class Asked(NamedTuple):
    """A method to train or tune, with its settings."""

    recipe: Recipe
    encoder: Encoder
    training: Training
    space: dict[str, Space]
    plugins: list[Path]
    keep_model: bool = True


def find_asked(
    block: str | None,
    method: Path | None,
    encoder: Path | None,
    assignments: list[str] | None,
    plugins: list[Path] | None,
) -> Asked:
    """Find out what is asked for: a block of the plan in force, or files named by hand."""
    if block is None:
        if method is None or encoder is None:
            raise DrugtailError("name what to train: --method and --encoder, or --block of a plan")
        return _asked_by_hand(method, encoder, assignments, plugins or [])
    if method is not None or encoder is not None or assignments or plugins:
        raise DrugtailError("--block says all; leave --method, --encoder, --set and --plugin out")
    plan = required_plan("--block")
    planned = plan.block(block)
    recipe, training = plan.resolved_settings(planned.dataset, planned.method)
    return Asked(
        recipe, plan.encoders[planned.encoder], training, plan.space(planned.method),
        plan.block_plugins(planned.encoder, planned.method), plan.benchmark.keep_models,
    )  # fmt: skip


def _asked_by_hand(
    method: Path, encoder: Path, assignments: list[str] | None, plugins: list[Path]
) -> Asked:
    from drugtail.config.base import merged
    from drugtail.config.catalogue import parse_assignments, read_encoder, read_recipe
    from drugtail.config.search_space import free_space
    from drugtail.config.training import Training
    from drugtail.plugins import encoder_kinds, recipe_model

    changes: dict[str, dict[str, Any]] = {"method": {}, "training": {}}
    for key, value in parse_assignments(assignments or []).items():
        kind, _, rest = key.partition(".")
        if kind not in changes or not rest:
            raise DrugtailError(f"--set {key}: write it as method.KEY=VALUE or training.KEY=VALUE")
        changes[kind][rest] = value
    recipe = read_recipe(method, changes["method"], recipe_model(plugins))
    training = merged(Training(), changes["training"], where="--set training")
    space = free_space(recipe, changes["method"])
    return Asked(recipe, read_encoder(encoder, encoder_kinds(plugins)), training, space, plugins)


def load_plugins(plugins: list[Path] | None) -> list[Plugin]:
    """Register what plugins add, and return it."""
    if not plugins:
        return []
    # Here, since it takes a second to import.
    from drugtail.plugins import load_plugin

    return [load_plugin(path) for path in plugins]


def required_plan(option: str) -> Plan:
    """Return the plan in force, without which an option means nothing."""
    from drugtail.benchmark.record import plan_in_force
    from drugtail.runtime.names import PLAN_VARIABLE

    plan = plan_in_force()
    if plan is None:
        raise DrugtailError(
            f"{option}: no plan is named; set {PLAN_VARIABLE} to the plan of the run, a file in "
            "results/plans/"
        )
    return plan


def find_dataset(name: str) -> Dataset:
    """Return a register: of a file, of the plan in force, or of the catalogue."""
    from drugtail.benchmark.record import plan_in_force
    from drugtail.config.catalogue import Catalogue, read_dataset

    if name.endswith((".yaml", ".yml")):
        return read_dataset(Path(name))
    plan = plan_in_force()
    for known in () if plan is None else (plan.datasets, plan.registers):
        if name in known:
            return known[name]
    return Catalogue(CONFIG).dataset(name)


def find_table(name: str) -> Table:
    """Return the definition of a table, found as `find_dataset` finds a register."""
    from drugtail.benchmark.record import plan_in_force
    from drugtail.config.catalogue import Catalogue, read_table_definition

    if name.endswith((".yaml", ".yml")):
        return read_table_definition(Path(name))
    plan = plan_in_force()
    if plan is not None and name in plan.tables:
        return plan.tables[name]
    return Catalogue(CONFIG).table(name)


def read_vector_files(assignments: list[str] | None) -> dict[str, Path]:
    """Return the files of ``--vectors NAME=FILE``, by name."""
    found = {}
    for text in assignments or []:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise DrugtailError(f"--vectors {text}: write it as NAME=FILE")
        found[name] = Path(path)
    return found


def read_seeds(block: str) -> range:
    """Return the seeds of ``--seeds``."""
    from drugtail.config.benchmark import parse_seeds

    try:
        return parse_seeds(block)
    except ValueError as error:
        raise DrugtailError(f"--seeds: {error}") from None
