"""Settings of samplers: which molecules an epoch consists of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drugtail.config.base import Settings


class InstanceSampler(Settings):
    """Every molecule once per epoch, in random order."""

    name: Literal["instance"] = "instance"


class ClassBalancedSampler(Settings):
    """A class uniformly, then one of its molecules uniformly, with replacement; N draws."""

    name: Literal["class_balanced"]


class SquareRootSampler(Settings):
    """A class with probability proportional to sqrt(n_c), then one of its molecules; N draws."""

    name: Literal["square_root"]


class ProgressiveSampler(Settings):
    """From the classes as they are at the first epoch to all alike at the last; N draws."""

    name: Literal["progressive"]


class ReverseSampler(Settings):
    """A class with probability proportional to 1/n_c, then one of its molecules; N draws."""

    name: Literal["reverse"]


class UndersampleSampler(Settings):
    """At most some times the smallest class of each class, others each time; N draws."""

    name: Literal["undersample"]
    multiple: float = Field(1.0, ge=1, description="k: most molecules of a class, in n_min.")


class DeferredSampler(Settings):
    """Every molecule once per epoch at first, then class-balanced (DRS; Cao et al., 2019)."""

    name: Literal["deferred"]
    start: float = Field(0.8, ge=0, lt=1, description="Share of the epochs before the change.")


Sampler = Annotated[
    InstanceSampler | ClassBalancedSampler | SquareRootSampler | ProgressiveSampler
    | ReverseSampler | UndersampleSampler | DeferredSampler,
    Field(discriminator="name"),
]  # fmt: skip
