"""Settings of the encoder gat."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS
from drugtail.config.graph_encoder import GraphLayers


@SETTINGS.register("gat")
class GATEncoder(GraphLayers):
    """Graph attention network, version 2 (Brody et al., ICLR 2022)."""

    kind: Literal["gat"] = Field(description="Graph attention network, version 2 (Brody et al.")
    heads: int = Field(4, ge=1, le=100, description="Attention heads; they divide the width.")
