"""Settings: the base of what is read from YAML, and how it is checked and changed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
)

from drugtail.config.wording import worded
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import counted


class Settings(BaseModel):
    """Base of everything read from YAML.

    Unknown keys, silent conversions and numbers that are not finite are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Settings)
# Keys of a recipe that say what it is, and change no result.
DESCRIPTION = ("name", "family", "idea", "reference", "reconstruction", "tuning")
# Faults of a file that are shown.
MOST_FAULTS = 5
# What pydantic says where one of several classes of settings has to be chosen.
UNION_FAULTS = ("union_tag_invalid", "union_tag_not_found", "model_attributes_type")


def declares(settings: Settings | None, name: str) -> Any:
    """Return what the class of a component's settings declares; False if it says nothing.

    Declarations are class variables: what a component needs, and what the training loop must do
    for it. A plugin's settings may leave out all that does not concern it.
    """
    return getattr(settings, name, False)


def validated(model: type[Model], value: Any, where: Path | str) -> Model:
    """Validate `value` as `model`.

    Raises
    ------
    DrugtailError
        One line per fault: the file, the key, what was found and what is allowed.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # A misspelt key shows twice, as unknown and as missing; the first is the cause.
        faults = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        told: set[str] = set()
        lines = [_explain(model, item, told) for item in faults[:MOST_FAULTS]]
        if len(faults) > MOST_FAULTS:
            lines.append(f"and {counted(len(faults) - MOST_FAULTS, 'more fault')}")
        raise DrugtailError("\n".join(f"{where}: {line}" for line in lines)) from None


def merged(model: Model, changes: Mapping[str, Any], where: str = "settings") -> Model:
    """Return `model` with dotted `changes`, validated anew.

    ``merged(recipe, {"classifier.n_estimators": 100})`` changes one setting of one component.
    """
    if not changes:
        return model
    value = model.model_dump(exclude_unset=True)
    for dotted, new in changes.items():
        target = value
        *parents, last = dotted.split(".")
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise DrugtailError(f"{where}: {dotted!r}: {parent!r} has no settings of its own")
        target[last] = new
    return validated(type(model), value, where)


def _explain(model: type[Settings], item: Any, told: set[str]) -> str:
    """One line for one pydantic error; `told` has the keys whose allowed ones have been listed."""
    location = [str(key) for key in item["loc"]]
    key = ".".join(_follow(model, location)[1])
    if item["type"] == "extra_forbidden":
        allowed = _keys_at(model, location[:-1])
        place = key.rpartition(".")[0]
        hint = f"; allowed here: {', '.join(allowed)}" if allowed and place not in told else ""
        told.add(place)
        return f"key {key}: unknown key{hint}{meant(location[-1], allowed)}"
    if item["type"] == "missing":
        return f"key {key}: is required; add it"
    if item["type"] in UNION_FAULTS:
        return _explain_choice(model, location, key, item)
    message = worded(item)
    return f"key {key}: {message}" if key else message


def _explain_choice(model: type[Settings], location: list[str], key: str, item: Any) -> str:
    """One line where it cannot be told which of several classes of settings is meant."""
    found, _ = _follow(model, location)
    tag = _tag_field(found)
    known = sorted(filter(None, map(tag_of, settings_in(found))))
    given = item["input"]
    if not isinstance(given, dict):
        shown = [*difflib.get_close_matches(str(given), known, n=1), known[0]][0]
        return f"key {key}: found {given!r}; write {{{tag}: {shown}}}"
    if tag not in given:
        return f"key {key}.{tag}: is required; known are: {', '.join(known)}"
    name = str(given[tag])
    return (
        f"key {key}.{tag}: {name!r} is unknown; known are: {', '.join(known)}{meant(name, known)}. "
        "A component of your own needs its Python file beside it: plugin, or --plugin"
        if tag == "name"
        else f"key {key}.{tag}: {name!r} is unknown; known are: {', '.join(known)}"
        f"{meant(name, known)}"
    )


def meant(name: str, known: list[str]) -> str:
    """A hint at the known name that is most like `name`, for messages; empty if none is."""
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _keys_at(model: type[Settings], location: list[str]) -> list[str]:
    """Names of the fields at a place inside `model`, as far as it can be followed."""
    found, _ = _follow(model, location)
    return sorted({name for m in settings_in(found) for name in m.model_fields})


def _follow(model: type[Settings], location: list[str]) -> tuple[Any, list[str]]:
    """Return the value at a place inside `model`, and the place as keys of the file.

    pydantic's places also name which member of a union was read, for which a file has no key.
    """
    current: Any = model
    keys = []
    for key in location:
        models = settings_in(current)
        fields = [m.model_fields[key].annotation for m in models if key in m.model_fields]
        tagged = [m for m in models if tag_of(m) == key] if len(models) > 1 else []
        if fields:
            current = fields[0]
        elif tagged:
            current = tagged[0]
            continue
        keys.append(key)
    return current, keys


def settings_in(annotation: Any) -> tuple[type[Settings], ...]:
    """All classes of settings that a field's type names, in order."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return (annotation,)
    return tuple(found for argument in get_args(annotation) for found in settings_in(argument))


def _tag_field(annotation: Any) -> str:
    """Name of the field that tells the classes of settings in a type apart."""
    return "kind" if any("kind" in m.model_fields for m in settings_in(annotation)) else "name"


def tag_of(model: type[Settings]) -> str | None:
    """The ``name`` or ``kind`` by which a YAML chooses these settings; None if it is free."""
    for field in ("name", "kind"):
        annotation = getattr(model.model_fields.get(field), "annotation", None)
        values: tuple[Any, ...] = getattr(annotation, "__args__", ())
        if len(values) == 1:
            return str(values[0])
    return None


NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+]*$"
