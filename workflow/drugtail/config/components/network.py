"""Settings of what stands on the encoder: last layer and experts."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings


class LinearLayer(Settings):
    """s_c = w_c h + b_c."""

    # What logits are multiplied by; margins of losses are on this scale.
    scale: ClassVar[float] = 1.0

    name: Literal["linear"] = "linear"


class CosineLayer(Settings):
    """s_c = scale cos(w_c, h)."""

    name: Literal["cosine"]
    scale: float = Field(30.0, gt=0, description="Largest logit.")


LastLayer = Annotated[LinearLayer | CosineLayer, Field(discriminator="name")]


class Experts(Settings):
    """Several heads on one encoder."""

    number: int = Field(3, ge=2, description="Number of heads.")
    combine: Literal["mean", "evidence"] = Field(
        "mean",
        description="Mean of their logits, or weighted by how unsure those before are, with an "
        "uncertainty for each prediction.",
    )
