"""Settings of the encoder gine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS
from drugtail.config.graph_encoder import GraphLayers


@SETTINGS.register("gine")
class GINEEncoder(GraphLayers):
    """Graph isomorphism network that sees kinds of bonds (Hu et al., ICLR 2020)."""

    kind: Literal["gine"] = Field(
        description="Graph isomorphism network that sees kinds of bonds (Hu et al."
    )
