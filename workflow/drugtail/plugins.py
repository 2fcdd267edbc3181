"""Additions in a Python file of the user's, outside the package.

The file registers components of a method, functions together with the class of their settings;
recipes that are read with it accept these settings like those of the package. And it registers what
a benchmark names: split strategies, featurizers, encoders, metrics, statistical tests, kinds of
tables, figures. Loading one imports PyTorch, as
components do.
"""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isabstract
from operator import or_
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field, create_model

from drugtail.config.base import Settings, meant, settings_in
from drugtail.config.components.contrastive import ContrastiveSettings
from drugtail.config.components.posthoc import PosthocSettings
from drugtail.config.components.second_stage import SecondStageSettings
from drugtail.config.components.views import ViewsSettings
from drugtail.config.encoder import SETTINGS, Encoder, EncoderSettings, package_kinds
from drugtail.config.recipe import Recipe
from drugtail.data.strategy import STRATEGIES, Strategy
from drugtail.features import featurizer
from drugtail.features.featurizer import Featurizer
from drugtail.report import plots
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.registry import Registry, first_line

NAMES = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# What the settings of a component derive from, where it is more than `Settings`.
BASES: dict[str, type[Settings]] = {
    "contrastive": ContrastiveSettings,
    "posthoc": PosthocSettings,
    "second_stage": SecondStageSettings,
    "views": ViewsSettings,
    "encoders": EncoderSettings,
}

# What a benchmark names, beside the components that a recipe does: key in `Plugin.names`.
SPLITS, FEATURIZERS, ENCODERS = "splits", "featurizers", "encoders"
METRICS, TESTS, TABLE_KINDS, FIGURES = "metrics", "tests", "table_kinds", "figures"
BENCHMARK_AXES = (SPLITS, FEATURIZERS, ENCODERS, METRICS, TESTS, TABLE_KINDS, FIGURES)
# Of these, those that are classes, and what they derive from.
CLASSES: dict[str, type[Any]] = {SPLITS: Strategy, FEATURIZERS: Featurizer}

Components = Mapping[str, tuple[type[Settings], ...]]
Model = TypeVar("Model", bound=Settings)


@dataclass(frozen=True)
class Plugin:
    """Additions of one file.

    Attributes
    ----------
    digest : str
        SHA-256 of its bytes, in hexadecimal.
    names : dict of str to tuple of str
        Key of a recipe -> names of the components that it may have there now; one of
        `BENCHMARK_AXES` -> what the file registers there.
    encoders : dict of str to type
        Kind -> class of settings of the encoders that it registers.
    components : dict of str to tuple of type
        Key of a recipe -> classes of settings that it may hold there now.
    recipe : type
        `Recipe` that accepts them.
    """

    digest: str
    names: dict[str, tuple[str, ...]]
    encoders: dict[str, type[EncoderSettings]]
    components: Components
    recipe: type[Recipe]


_loaded: dict[Path, Plugin] = {}


def load_plugin(path: Path) -> Plugin:
    """Run a user's file and register what it adds.

    A file that was loaded before is loaded again only if it has changed; then what it had added is
    taken out first. After an error nothing of it is registered.

    Parameters
    ----------
    path
        The file, ending in ``.py``.

    Raises
    ------
    DrugtailError
        If it is absent, fails, registers nothing, takes a name that is taken, registers a
        component without settings that fit or a split strategy that is none; the message names
        the file and what to do.
    """
    source = _read(path)
    place, digest = path.resolve(), hashlib.sha256(source).hexdigest()
    earlier = _loaded.get(place)
    if earlier is not None and earlier.digest == digest:
        return earlier
    registries = all_registries()
    if earlier is not None:
        _forget(registries, _loaded.pop(place).names)
    before = {key: registry.names() for key, registry in registries.items()}

    def added() -> dict[str, tuple[str, ...]]:
        found = {
            key: tuple(name for name in registry.names() if name not in before[key])
            for key, registry in registries.items()
        }
        return {key: names for key, names in found.items() if names}

    try:
        _run(path, source, f"drugtail_own_{path.stem}_{digest[:16]}")
        if not added():
            raise DrugtailError(
                f"{path}: registers nothing; decorate a function, for example with "
                f'@LOSSES.register("{path.stem}", <its settings class>), or a class with '
                f'@STRATEGIES.register("{path.stem}")'
            )
        components = {
            key: tuple(_settings(path, key, registries[key], name) for name in names)
            for key, names in added().items()
            if key not in BENCHMARK_AXES
        }
        for key in CLASSES:
            for name in added().get(key, ()):
                _check_class(path, key, registries[key], name)
        for axis in (METRICS, TESTS, TABLE_KINDS, FIGURES):
            for name in added().get(axis, ()):
                _check_function(path, registries[axis], name, declares=axis == FIGURES)
        for name in added().get(ENCODERS, ()):
            if name in SETTINGS.names():
                raise DrugtailError(f"{path}: encoder {name!r} is the package's; rename yours")
        encoders: dict[str, Any] = {
            name: _settings(path, ENCODERS, registries[ENCODERS], name)
            for name in added().get(ENCODERS, ())
        }
        _loaded[place] = Plugin(digest, added(), encoders, components, extended_recipe(components))
    except BaseException:
        _forget(registries, added())
        raise
    return _loaded[place]


def unload_plugin(path: Path) -> None:
    """Take out again what a file has added; nothing happens if it was not loaded."""
    loaded = _loaded.pop(path.resolve(), None)
    if loaded is not None:
        _forget(all_registries(), loaded.names)


def recipe_model(paths: Sequence[Path]) -> type[Recipe]:
    """Return the class that reads recipes, with the components of some plugins."""
    if len(paths) == 1:
        return load_plugin(paths[0]).recipe
    components: dict[str, tuple[type[Settings], ...]] = {}
    for path in paths:
        for key, classes in load_plugin(path).components.items():
            components[key] = components.get(key, ()) + classes
    return extended_recipe(components) if components else Recipe


def encoder_kinds(paths: Sequence[Path]) -> dict[str, type[Encoder]]:
    """Return kind -> class of settings of encoders: the package's, and those of some plugins."""
    kinds = package_kinds()
    for path in paths:
        kinds |= load_plugin(path).encoders
    return kinds


def all_registries() -> dict[str, Registry[Any]]:
    """Return the registries that a plugin can add to."""
    return component_registries() | {key: registry(key) for key in BENCHMARK_AXES}


def registry(axis: str) -> Registry[Any]:
    """Return the registry of one of `BENCHMARK_AXES`."""
    if axis == SPLITS:
        return STRATEGIES
    if axis == FEATURIZERS:
        return featurizer.FEATURIZERS
    if axis == FIGURES:
        return plots.FIGURES
    # Here, since they take long to import.
    if axis == ENCODERS:
        from drugtail.models import encoder

        return encoder.ENCODERS
    if axis == TABLE_KINDS:
        from drugtail.report import tables

        return tables.TABLE_KINDS
    from drugtail.evaluation import metrics, statistics

    return metrics.METRICS if axis == METRICS else statistics.TESTS


def component_registries() -> dict[str, Registry[Any]]:
    """Key of a recipe -> registry of the components it may name there."""
    # Here, since they import PyTorch; and all of them, so that names of the package are taken.
    from drugtail.methods import (
        classical,
        clustering,
        contrastive,
        losses,
        mixing,
        posthoc,
        samplers,
        views,
        weights,
    )
    from drugtail.training.second_stage import SECOND_STAGES

    return {
        "sampler": samplers.SAMPLERS,
        "class_weights": weights.CLASS_WEIGHTS,
        "loss": losses.LOSSES,
        "contrastive": contrastive.CONTRASTIVE,
        "views": views.VIEWS,
        "mixing": mixing.MIXING,
        "posthoc": posthoc.POSTHOC,
        "second_stage": SECOND_STAGES,
        "subclusters": clustering.CLUSTERINGS,
        "classifier": classical.CLASSIFIERS,
    }


def extended_recipe(components: Components) -> type[Recipe]:
    """`Recipe` that accepts further components, also where a component names another one.

    Parameters
    ----------
    components
        Key of a recipe -> settings classes that it may hold besides those of the package.
    """
    more = {
        settings_in(Recipe.model_fields[key].annotation): classes
        for key, classes in components.items()
    }
    return _extended(Recipe, more)


def _extended(
    model: type[Model], more: Mapping[tuple[type[Settings], ...], tuple[type[Settings], ...]]
) -> type[Model]:
    """`model` with wider fields, or itself where none holds such a component."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        held = settings_in(field.annotation)
        wider = tuple(_extended(one, more) for one in held) + more.get(held, ())
        if wider != held:
            union: Any = reduce(or_, wider)
            choice = Annotated[union, Field(discriminator="name")]
            optional = type(None) in get_args(field.annotation)
            fields[name] = (
                choice | None if optional else choice,
                Field(field.default, description=field.description),
            )
    if not fields:
        return model
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, **fields)


def _read(path: Path) -> bytes:
    if path.suffix != ".py":
        raise DrugtailError(f"{path}: is no Python file; its name must end in .py")
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DrugtailError(
            f"{path}: no such file; paths are relative to the folder the command is run in"
        ) from None
    except IsADirectoryError:
        raise DrugtailError(f"{path}: is a folder; name a Python file") from None


def _run(path: Path, source: bytes, name: str) -> None:
    """Run a file as a module."""
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module = module_from_spec(spec)
    # Pydantic looks up there what annotations name.
    sys.modules[name] = module
    try:
        # Not by its loader: that may take what an earlier state of the file left in __pycache__.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        text, line = str(error), None
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        if lines:
            line = lines[-1]
        elif isinstance(error, SyntaxError):
            text, line = error.msg, error.lineno
        where = "" if line is None else f"line {line}: "
        raise DrugtailError(
            f"{path}: {where}{type(error).__name__}: {text}; mend the file"
        ) from error


def _settings(path: Path, key: str, registry: Registry[Any], name: str) -> type[Settings]:
    """Settings class of a registered component, if it is one that a recipe can hold."""
    settings: Any = registry.settings(name)
    component = f"{path}: {registry.kind} {name!r}"
    base = BASES.get(key, Settings)
    if settings is None:
        raise DrugtailError(
            f"{component}: is registered without settings; name their class, too: "
            f'register("{name}", <its settings class>)'
        )
    if not (isinstance(settings, type) and issubclass(settings, base)):
        raise DrugtailError(
            f"{component}: its settings, {settings!r}, are not a class derived from "
            f"{base.__module__}.{base.__name__}; derive it from that"
        )
    try:
        settings.model_rebuild()
    except Exception as error:
        raise DrugtailError(
            f"{component}: its settings class {settings.__name__}: {error}; mend it"
        ) from error
    chosen_by = "kind" if key == ENCODERS else "name"
    field = settings.model_fields.get(chosen_by)
    if field is None or get_args(field.annotation) != (name,):
        raise DrugtailError(
            f"{component}: its settings class {settings.__name__} must have the line "
            f'{chosen_by}: Literal["{name}"]'
        )
    return settings


def _check_class(path: Path, key: str, registry: Registry[Any], name: str) -> None:
    """Refuse what is registered where a class is wanted, or under a name that is no file's."""
    found: Any = registry[name]
    component, base = f"{path}: {registry.kind} {name!r}", CLASSES[key]
    if not NAMES.fullmatch(name):
        raise DrugtailError(f"{component}: use letters, digits and _ alone, a letter first")
    if not (isinstance(found, type) and issubclass(found, base)) or isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ()))) or "its methods"
        raise DrugtailError(
            f"{component}: register a class derived from {base.__module__}.{base.__name__} that "
            f"has {missing}"
        )


def _check_function(path: Path, registry: Registry[Any], name: str, *, declares: bool) -> None:
    """Refuse what is no function, has a name that is no file's or column's, or says too little."""
    component = f"{path}: {registry.kind} {name!r}"
    if not NAMES.fullmatch(name):
        raise DrugtailError(f"{component}: use letters, digits and _ alone, a letter first")
    if not callable(registry[name]) or not first_line(registry[name]):
        raise DrugtailError(
            f"{component}: register a function with a docstring; its first line is what lists and "
            "tables say of it"
        )
    if declares and not isinstance(registry.settings(name), plots.Plot):
        raise DrugtailError(
            f"{component}: is registered without caption and inputs; write "
            f'@FIGURES.register("{name}", Plot(caption="…", inputs=("classes",)))'
        )
    if declares:
        for kind in registry.settings(name).inputs:
            if kind not in plots.INPUTS:
                raise DrugtailError(
                    f"{component}: inputs: {kind!r} is unknown{meant(kind, [*plots.INPUTS])}; "
                    f"there are {', '.join(plots.INPUTS)}"
                )


def _forget(registries: Mapping[str, Registry[Any]], names: Mapping[str, tuple[str, ...]]) -> None:
    for key, found in names.items():
        for name in found:
            registries[key].forget(name)
