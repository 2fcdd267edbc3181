"""Methods that are one under two names, and what a reader must know of others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from drugtail.config.base import DESCRIPTION
from drugtail.config.benchmark import MethodChoice
from drugtail.config.components.ensemble import Ensemble
from drugtail.config.recipe import Recipe
from drugtail.runtime.names import DEFAULT


def other_names(
    choices: Iterable[MethodChoice], recipes: Mapping[str, Recipe], settings: Mapping[str, str]
) -> dict[str, str]:
    """Return methods that are another one before them by another name -> that one.

    Two recipes of the catalogue can say the same: `inverse_frequency` is `cost_sensitive`, and
    `logit_adjustment` with a strength of 1 is `balanced_softmax`, as log π and log n differ by a
    constant. Variants of one recipe that a benchmark names are never taken together.

    Parameters
    ----------
    choices
        Methods of a benchmark, in order.
    recipes, settings
        Recipe of each, and whether it is trained by ``default`` or ``tuned``.
    """
    first: dict[str, tuple[str, str]] = {}
    same = {}
    for choice in choices:
        if choice.plugin is not None or settings[choice.name] != DEFAULT:
            continue
        origin = choice.recipe or choice.name
        said = str(_trained(recipes[choice.name]))
        name, of = first.setdefault(said, (choice.name, origin))
        if name != choice.name and of != origin:
            same[choice.name] = name
    return same


def _trained(recipe: Recipe) -> dict[str, Any]:
    """Return settings that are equal for recipes of the same training."""
    said = recipe.model_dump(mode="json", exclude={*DESCRIPTION})
    if said["loss"] == {"name": "logit_adjustment", "tau": 1.0}:
        said["loss"] = {"name": "balanced_softmax"}
    return said


def notes_on_methods(
    same: Mapping[str, str], recipes: Mapping[str, Recipe], choices: Iterable[MethodChoice]
) -> list[str]:
    """Return a sentence on each method of which a reader must know more than its name.

    It is another one under two names, has settings of the benchmark's, averages others, or was made
    anew from a paper.
    """
    notes = [
        f"{name} is {of} by another name: trained and shown once." for name, of in same.items()
    ]
    notes += filter(None, map(_changed, choices))
    for name, recipe in recipes.items():
        if recipe.reconstruction:
            notes.append(f"{name} is a reconstruction: {recipe.reconstruction}")
        if recipe.ensemble is not None:
            notes.append(_averaged(name, recipe.ensemble))
    return notes


def _changed(choice: MethodChoice) -> str:
    """Return what the benchmark changes of a recipe; who is averaged is said apart."""
    changes = {k: v for k, v in choice.settings.items() if k.partition(".")[0] != "ensemble"}
    if not changes:
        return ""
    said = ", ".join(f"{key} {json.dumps(value)}" for key, value in changes.items())
    origin = choice.recipe or choice.name
    return f"{choice.name}: {'the recipe' if origin == choice.name else origin} with {said}."


def _averaged(name: str, ensemble: Ensemble) -> str:
    members = [
        one.method if one.encoder is None else f"{one.method} on {one.encoder}"
        for one in ensemble.of
    ]
    over = " over all seeds" if ensemble.over_seeds else ""
    taken = "as they are" if ensemble.tau is None else f"with {ensemble.tau:g} log prior taken off"
    return f"{name} averages {' and '.join(members)}{over}, {taken}; it trains nothing."
