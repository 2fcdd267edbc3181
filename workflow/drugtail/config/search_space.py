"""Spaces of settings: what a key means, which points there are, and recipes changed to a point.

A key is a dotted path into the recipe (``loss.tau``), or ``training.`` and a training setting. A
point gives each key of a space a value. Nothing heavy is imported: a workflow checks every space
before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drugtail.config.base import DESCRIPTION, Settings, meant, merged
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

if TYPE_CHECKING:
    from drugtail.config.recipe import Recipe, Space
    from drugtail.config.training import Training

TRAINING = "training."
# More epochs for one method than for another would be no fair comparison.
SAME_FOR_ALL = ("epochs", "schedule_scale")


def free_space(recipe: Recipe, fixed: Iterable[str]) -> dict[str, Space]:
    """The recipe's space without the settings that a user fixed.

    Parameters
    ----------
    recipe
        The method.
    fixed
        Keys of the recipe that were set by hand: a variant called ``tau_half`` keeps its tau. One
        that names a whole component (``loss``) fixes all settings of it.
    """
    fixed = tuple(fixed)
    return {
        key: space
        for key, space in recipe.space.items()
        if not any(key == one or key.startswith(f"{one}.") for one in fixed)
    }


def check_space(
    space: Mapping[str, Space], recipe: Recipe, training: Training, where: Path | str
) -> None:
    """Refuse a space whose keys are no settings, or whose values they cannot take.

    Raises
    ------
    DrugtailError
        It names `where`, the key, what was found and what is allowed.
    """
    for key, one in space.items():
        place = f"{where}: key tuning.{key}"
        _setting(key, recipe, training, place)
        for value in one.ends:
            with_settings(recipe, training, {key: value}, place)


def default_point(space: Mapping[str, Space], recipe: Recipe, training: Training) -> dict[str, Any]:
    """The point at which recipe and training settings stand."""
    return {key: _setting(key, recipe, training, "tuning") for key in space}


def with_settings(
    recipe: Recipe, training: Training, point: Mapping[str, Any], where: Path | str = "tuning"
) -> tuple[Recipe, Training]:
    """Recipe and training settings changed to a point, validated anew."""
    own = {key: value for key, value in point.items() if not key.startswith(TRAINING)}
    theirs = {key.removeprefix(TRAINING): value for key, value in point.items() if key not in own}
    return merged(recipe, own, str(where)), merged(training, theirs, str(where))


def is_whole(space: Space, default: Any) -> bool:
    """Return whether a range is one of whole numbers: both ends are, the setting is no fraction."""
    ends = all(isinstance(end, int) for end in space.ends)
    return space.choices is None and ends and not isinstance(default, float)


def contains(space: Space, value: Any) -> bool:
    """Return whether a value lies in a space."""
    if space.choices is not None:
        return value in space.choices
    assert space.low is not None
    assert space.high is not None
    return isinstance(value, int | float) and space.low <= value <= space.high


def count_points(space: Mapping[str, Space], default: Mapping[str, Any]) -> float:
    """Number of different points there are to try, the default among them; may be infinite."""
    number = 1.0
    for key, one in space.items():
        if one.choices is not None:
            number *= len(one.choices)
        elif is_whole(one, default[key]):
            assert one.low is not None
            assert one.high is not None
            number *= one.high - one.low + 1
        else:
            number = math.inf
    inside = all(contains(one, default[key]) for key, one in space.items())
    return number if inside else number + 1


def count_trials(
    trials: int, space: Mapping[str, Space], recipe: Recipe, training: Training
) -> int:
    """Trials that are worth their time: no more than there are different points."""
    return int(min(trials, count_points(space, default_point(space, recipe, training))))


def read_tuned(path: Path, method: str) -> dict[str, Any]:
    """The changes to a method's settings that ``best.json`` holds.

    Raises
    ------
    DrugtailError
        If the file is not one of `drugtail tune`, or is about another method.
    """
    best = read_json(path)
    if not isinstance(best, dict) or not isinstance(best.get("changes"), dict):
        raise DrugtailError(f"{path}: has no changes; name the best.json of `drugtail tune`")
    if best.get("method") != method:
        raise DrugtailError(
            f"{path}: was tuned for method {best.get('method')!r}, not {method!r}; run "
            f"`drugtail tune` for {method!r} first"
        )
    changes: dict[str, Any] = best["changes"]
    return changes


def check_tuned(path: Path, names: Mapping[str, str]) -> None:
    """Refuse a ``best.json`` that was chosen on other molecules, or for another encoder.

    What is validated in one split is tested in another: its labels would have chosen the settings.

    Parameters
    ----------
    path
        The file.
    names
        What it must say, for example ``{"split": "random-0"}``.
    """
    best = read_json(path)
    for key, name in names.items():
        if best.get(key) != name:
            raise DrugtailError(
                f"{path}: was tuned on {key} {best.get(key)!r}, not {name!r}; run `drugtail tune` "
                "there"
            )


def _setting(key: str, recipe: Recipe, training: Training, place: str) -> Any:
    """The value of a setting now; an error if there is no such setting."""
    in_training = key.startswith(TRAINING)
    value: Any = training if in_training else recipe
    *parents, last = key.removeprefix(TRAINING).split(".") if in_training else key.split(".")
    for number, key_part in enumerate([*parents, last]):
        if not isinstance(value, Settings):
            name = ".".join(key.split(".")[: number + in_training])
            raise DrugtailError(f"{place}: method {recipe.name!r} has no {name} with settings")
        allowed = sorted(set(type(value).model_fields) - _forbidden(value, recipe, training))
        if key_part not in allowed:
            raise DrugtailError(
                f"{place}: {key_part!r} cannot be tuned; there are: {', '.join(allowed) or 'none'}"
                f"{meant(key_part, allowed)}"
            )
        value = getattr(value, key_part)
    if in_training and not recipe.is_network:
        raise DrugtailError(
            f"{place}: method {recipe.name!r} trains no network, so it has no training settings"
        )
    if isinstance(value, Settings):
        raise DrugtailError(
            f"{place}: is a component, not a setting; write for example "
            f"{key}.{next(reversed(type(value).model_fields))}"
        )
    return value


def _forbidden(value: Settings, recipe: Recipe, training: Training) -> set[str]:
    if value is recipe:
        return set(DESCRIPTION)
    # The name of a component is the component itself.
    return set(SAME_FOR_ALL) if value is training else {"name"}
