"""Settings of the encoder attentivefp."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS, EncoderSettings


@SETTINGS.register("attentivefp")
class AttentiveFPEncoder(EncoderSettings):
    """AttentiveFP: attention over atoms, then over molecules (Xiong et al., 2020)."""

    kind: Literal["attentivefp"] = Field(description="AttentiveFP.")
    layers: int = Field(2, ge=1, le=100, description="Steps of attention over atoms.")
    timesteps: int = Field(2, ge=1, le=100, description="Steps of attention over molecules.")
    width: int = Field(
        128, ge=1, le=16_384, description="Width of each layer, and of the embedding."
    )
