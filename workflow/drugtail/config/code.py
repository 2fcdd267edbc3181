"""Modules of the package that the result of a training depends on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drugtail.config.base import Settings
from drugtail.config.encoder import SETTINGS, Encoder

if TYPE_CHECKING:
    from drugtail.config.recipe import Recipe

TRAINED_BY = "drugtail.training.block"
AVERAGED_BY = "drugtail.training.ensemble"


def code_of(encoder: Encoder, recipe: Recipe, stage: str | None = None) -> tuple[str, ...]:
    """Return the modules that the result of a stage depends on, with a method on an encoder.

    The encoder's own are among them, and no other encoder's: a new one trains nothing again. So are
    those of the components' settings, whose declarations say what the training loop does. What is a
    plugin's is none of them; the digest of its file stands for it.

    Parameters
    ----------
    encoder, recipe
        What is trained.
    stage
        Module that is run; None takes the one that the method's blocks are made by.
    """
    if stage is None:
        stage = AVERAGED_BY if recipe.ensemble else TRAINED_BY
    kind = encoder.kind
    modules = {stage, *_modules(recipe)}
    if kind in SETTINGS.names() and SETTINGS[kind] is type(encoder):
        modules.add(f"drugtail.config.encoders.{kind}")
        if encoder.network:
            modules.add(f"drugtail.models.encoders.{kind}")
    return tuple(sorted(modules))


def _modules(settings: Settings) -> Iterator[str]:
    """Modules of the package that the settings of components are defined in."""
    for name in type(settings).model_fields:
        part = getattr(settings, name)
        if isinstance(part, Settings):
            # That of a component which a plugin has widened is its base's.
            modules = (one.__module__ for one in type(part).__mro__)
            yield from [m for m in modules if m.startswith("drugtail.config.components.")][:1]
            yield from _modules(part)
