"""Settings of the encoder pna."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS
from drugtail.config.graph_encoder import GraphLayers


@SETTINGS.register("pna")
class PNAEncoder(GraphLayers):
    """Principal neighbourhood aggregation (Corso et al., NeurIPS 2020)."""

    kind: Literal["pna"] = Field(description="Principal neighbourhood aggregation (Corso et al.")
