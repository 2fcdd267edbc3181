"""Settings of mixing."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.components.samplers import ReverseSampler, Sampler


class MixingSettings(Settings):
    """Settings that every way of mixing has."""

    # Whether two heads learn from batches of their own: the second one is drawn by ``sampler``.
    branches: ClassVar[bool] = False
    # Whether labels keep the class shares of what is mixed.
    keeps_shares: ClassVar[bool] = False


class Mixup(MixingSettings):
    """Embeddings of two molecules of the batch mixed, and their labels (Zhang et al., 2018)."""

    keeps_shares: ClassVar[bool] = True

    name: Literal["mixup"]


class Remix(MixingSettings):
    """Mixup that leaves the label to the rarer class (Chou et al., ECCV Workshops 2020)."""

    name: Literal["remix"]
    kappa: float = Field(3.0, ge=1, description="Least ratio of class sizes.")
    tau: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Largest share up to which the rarer class gets the whole label.",
    )


class Bilateral(MixingSettings):
    """Two branches, of molecules as they come and drawn in reverse (BBN; Zhou, CVPR 2020)."""

    branches: ClassVar[bool] = True

    name: Literal["bilateral"]
    sampler: Sampler = Field(
        ReverseSampler(name="reverse"), description="Sampler of the second branch."
    )


Mixing = Annotated[Mixup | Remix | Bilateral, Field(discriminator="name")]
