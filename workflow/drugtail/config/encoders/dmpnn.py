"""Settings of the encoder dmpnn."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS, EncoderSettings


@SETTINGS.register("dmpnn")
class DMPNNEncoder(EncoderSettings):
    """Messages along directed bonds, by the package chemprop (Yang et al., 2019)."""

    kind: Literal["dmpnn"] = Field(
        description="Messages along directed bonds, by the package chemprop (Yang et al."
    )
    layers: int = Field(3, ge=1, le=100, description="Steps of message passing (chemprop's depth).")
    width: int = Field(300, ge=1, le=16_384, description="Width of messages, and of the embedding.")
    pooling: Literal["mean", "sum"] = Field("mean", description="From atoms to molecules.")
