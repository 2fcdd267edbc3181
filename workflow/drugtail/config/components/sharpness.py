"""Settings of updates that look for flat minima."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.base import Settings


class SharpnessAware(Settings):
    """The gradient is taken where the loss is highest near by (SAM; Foret et al., ICLR 2021)."""

    name: Literal["sharpness_aware"] = "sharpness_aware"
    radius: float = Field(0.05, gt=0, description="rho: how far off, as a norm of all weights.")
    below: float | None = Field(
        None, gt=0,
        description="Only the loss of classes smaller than so many mean class sizes is taken "
        "there, that of the others where the weights are (ImbSAM); null takes all.",
    )  # fmt: skip
