"""The recipes that tests/contract holds to the rules: the project's and, if named, one more."""

from __future__ import annotations

import os
from pathlib import Path

from drugtail.config.catalogue import Catalogue, read_recipe
from drugtail.config.recipe import Recipe
from drugtail.plugins import recipe_model

CONFIG = Path(__file__).resolve().parents[1] / "config"


class CheckedCatalogue(Catalogue):
    """The project's catalogue, and the recipe that ``DRUGTAIL_RECIPE`` names beside it.

    ``DRUGTAIL_PLUGIN`` names the Python file with its parts, if it needs one.
    """

    def __init__(self) -> None:
        super().__init__(CONFIG)
        recipe, plugin = os.environ.get("DRUGTAIL_RECIPE"), os.environ.get("DRUGTAIL_PLUGIN")
        own = (
            [read_recipe(Path(recipe), model=recipe_model([Path(plugin)] if plugin else []))]
            if recipe
            else []
        )
        self.own: dict[str, Recipe] = {one.name: one for one in own}
        self._read: dict[str, Recipe] = {}

    def names(self, kind: str) -> list[str]:
        found = super().names(kind)
        return sorted({*found, *self.own}) if kind == "methods" else found

    def recipe(self, name: str) -> Recipe:
        if name not in self._read:
            self._read[name] = self.own[name] if name in self.own else super().recipe(name)
        return self._read[name]
