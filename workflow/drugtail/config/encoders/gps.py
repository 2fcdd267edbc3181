"""Settings of the encoder gps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS
from drugtail.config.graph_encoder import GraphLayers


@SETTINGS.register("gps")
class GPSEncoder(GraphLayers):
    """Graph transformer: GINE and global attention in each layer (Rampášek et al., 2022)."""

    kind: Literal["gps"] = Field(description="Graph transformer.")
    heads: int = Field(4, ge=1, le=100, description="Attention heads; they divide the width.")
    walk_length: int = Field(
        8,
        ge=1,
        le=1_000,
        description="Steps of the random walks whose returns tell atoms their place.",
    )
