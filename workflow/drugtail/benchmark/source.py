"""Files and registries that a benchmark's names are found in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from drugtail.config.base import meant, merged, validated
from drugtail.config.benchmark import EncoderChoice, MethodChoice, name_of
from drugtail.config.catalogue import (
    Catalogue,
    read_dataset,
    read_encoder,
    read_recipe,
    read_table_definition,
    validated_encoder,
)
from drugtail.config.dataset import Dataset
from drugtail.config.encoder import Encoder, package_kinds
from drugtail.config.recipe import Recipe
from drugtail.config.table import Table
from drugtail.plugins import recipe_model
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError

Kinds = Mapping[str, type[Encoder]]


class Source(Protocol):
    """The catalogue's files, or a plan that was kept."""

    def dataset(self, name: str) -> Dataset:
        """Return the register of a data set."""

    def encoder(self, choice: EncoderChoice, own: Kinds, where: str) -> Encoder:
        """Return an encoder with what the benchmark changes of it; `own` are kinds of plugins."""

    def table(self, name: str) -> Table:
        """Return the definition of a table."""

    def method(self, choice: MethodChoice, where: str) -> Recipe:
        """Return the recipe of a method with what the benchmark changes of it."""

    def plugin(self, path: Path) -> Path:
        """Return a plugin of the benchmark, if it is still the one that was planned with."""

    def vectors(self, path: Path) -> Path:
        """Return a file of vectors, if it is still the one that was planned with."""


class FromCatalogue:
    """The folder of configuration, as it is now."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def dataset(self, name: str) -> Dataset:
        """Return the register of a data set, by name (also of a task) or by path."""
        if name.endswith(".yaml"):
            return read_dataset(Path(name))
        return self.catalogue.dataset(name)

    def table(self, name: str) -> Table:
        """Return the definition of a table, by name or by path."""
        return read_table_definition(self._path("tables", name))

    def _path(self, kind: str, name: str) -> Path:
        return Path(name) if name.endswith(".yaml") else self.catalogue.path(kind, name)

    def encoder(self, choice: EncoderChoice, own: Kinds, where: str) -> Encoder:
        """Read an encoder; `where` names the place of its changes in messages."""
        name, kinds = choice.encoder or choice.name, {**package_kinds(), **own}
        if name in own:
            # One of a plugin's needs no file: all its settings have defaults, or are given here.
            given = {**choice.settings, "name": choice.name, "kind": name}
            return validated(kinds[name], given, where)
        if not name.endswith(".yaml") and name not in self.catalogue.names("encoders"):
            known = [*self.catalogue.names("encoders"), *own]
            raise DrugtailError(
                f"{where}: there is no encoder {name!r}{meant(name, known)}; there are "
                f"{', '.join(known)}; one of your own needs its file in `plugins`, or a YAML file"
            )
        path = self._path("encoders", name)
        encoder = read_encoder(path, kinds)
        renamed = {"name": choice.name} if encoder.name != choice.name else {}
        return merged(encoder, {**renamed, **choice.settings}, where=where)

    def method(self, choice: MethodChoice, where: str) -> Recipe:
        """Read a recipe; `where` names the place of its changes in messages."""
        name = choice.recipe or choice.name
        path = self._path("methods", name)
        plugin = None if choice.plugin is None else Path(choice.plugin)
        renamed = {"name": choice.name} if path.stem != choice.name else {}
        recipe = read_recipe(path, model=recipe_model(_listed(plugin)))
        return merged(recipe, {**renamed, **choice.settings}, where=where)

    def plugin(self, path: Path) -> Path:
        """Return the plugin."""
        return path

    def vectors(self, path: Path) -> Path:
        """Return the file of vectors.

        Raises
        ------
        DrugtailError
            If it is not there.
        """
        if not path.is_file():
            raise DrugtailError(f"vectors: {path}: no such file; correct the path")
        return path


class FromPlan:
    """A plan that was kept, with everything as it was then; see `Plan.resolved`."""

    def __init__(self, resolved: Mapping[str, Any], path: Path) -> None:
        self.resolved, self.path = resolved, path

    def dataset(self, name: str) -> Dataset:
        """Return the register of a data set."""
        return validated(Dataset, self._part("datasets", name_of(name)), self.path)

    def encoder(self, choice: EncoderChoice, own: Kinds, where: str) -> Encoder:
        """Return the settings of an encoder."""
        part = self._part("encoders", choice.name)
        return validated_encoder(part, self.path, {**package_kinds(), **own})

    def table(self, name: str) -> Table:
        """Return the definition of a table."""
        return validated(Table, self._part("tables", name_of(name)), self.path)

    def method(self, choice: MethodChoice, where: str) -> Recipe:
        """Return a recipe.

        Raises
        ------
        DrugtailError
            If its plugin has changed since the plan was made.
        """
        part = self._part("methods", choice.name)
        plugin = None if choice.plugin is None else Path(choice.plugin)
        if plugin is not None:
            self._check_unchanged(plugin, part["plugin"])
        return validated(recipe_model(_listed(plugin)), part["recipe"], self.path)

    def plugin(self, path: Path) -> Path:
        """Return a plugin of the benchmark.

        Raises
        ------
        DrugtailError
            If it has changed since the plan was made.
        """
        self._check_unchanged(path, self._part("plugins", str(path)))
        return path

    def vectors(self, path: Path) -> Path:
        """Return a file of vectors, see `plugin`."""
        self._check_unchanged(path, self._part("vectors", str(path)))
        return path

    def _check_unchanged(self, path: Path, planned: str) -> None:
        found = file_digest(path)
        if found != planned:
            raise DrugtailError(
                f"{path}: has changed since {self.path} was made (SHA-256 {found[:16]}…"
                f", was {planned[:16]}…); start the benchmark again"
            )

    def _part(self, kind: str, name: str) -> Any:
        if name not in self.resolved[kind]:
            known = ", ".join(self.resolved[kind])
            raise DrugtailError(f"{self.path}: {kind}: has no {name!r}; it has: {known}")
        return self.resolved[kind][name]


def _listed(plugin: Path | None) -> list[Path]:
    return [] if plugin is None else [plugin]
