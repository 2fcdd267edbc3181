"""Settings of samplers: which molecules an epoch consists of."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.prior import Shares, alike, shares_of


class SamplerSettings(Settings):
    """Settings that all samplers share."""

    # Whether the molecules are drawn once for the whole training, and only shuffled in each epoch.
    once: ClassVar[bool] = False

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """Return the class shares of an epoch, from those and the sizes of the training set."""
        return None


class InstanceSampler(SamplerSettings):
    """Every molecule once per epoch, in random order."""

    name: Literal["instance"] = "instance"

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `SamplerSettings.prior`."""
        return shares


class ClassBalancedSampler(SamplerSettings):
    """A class uniformly, then one of its molecules uniformly, with replacement; N draws."""

    name: Literal["class_balanced"]

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `SamplerSettings.prior`."""
        return alike(shares)


class SquareRootSampler(SamplerSettings):
    """A class with probability proportional to sqrt(n_c), then one of its molecules; N draws."""

    name: Literal["square_root"]

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `SamplerSettings.prior`."""
        return shares_of([share**0.5 for share in shares])


class ProgressiveSampler(SamplerSettings):
    """From the classes as they are at the first epoch to all alike at the last; N draws."""

    name: Literal["progressive"]


class ReverseSampler(SamplerSettings):
    """A class with probability proportional to 1/n_c, then one of its molecules; N draws."""

    name: Literal["reverse"]

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `SamplerSettings.prior`."""
        return shares_of([1 / share if share else 0.0 for share in shares])


class UndersampleSampler(SamplerSettings):
    """At most some times the smallest class of each class, others each time; N draws."""

    name: Literal["undersample"]
    multiple: float = Field(1.0, ge=1, description="k: most molecules of a class, in n_min.")

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `SamplerSettings.prior`."""
        most = int(self.multiple * min(count for count in counts if count))
        return shares_of([min(count, most) for count in counts])


class OversampleOnceSampler(SamplerSettings):
    """floor(N / C) molecules of each class with replacement, the same ones in all epochs.

    Of a large class most molecules are never seen. It is how the authors' code of the proposed
    method samples.
    """

    once: ClassVar[bool] = True

    name: Literal["oversample_once"]

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `SamplerSettings.prior`."""
        return alike(shares)


class DeferredSampler(SamplerSettings):
    """Every molecule once per epoch at first, then class-balanced (DRS; Cao et al., 2019)."""

    name: Literal["deferred"]
    start: float = Field(0.8, ge=0, lt=1, description="Share of the epochs before the change.")

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `SamplerSettings.prior`."""
        return alike(shares)


Sampler = Annotated[
    InstanceSampler | ClassBalancedSampler | SquareRootSampler | ProgressiveSampler
    | ReverseSampler | UndersampleSampler | OversampleOnceSampler | DeferredSampler,
    Field(discriminator="name"),
]  # fmt: skip
