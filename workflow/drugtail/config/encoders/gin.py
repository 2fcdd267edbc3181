"""Settings of the encoder gin."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS
from drugtail.config.graph_encoder import GraphLayers


@SETTINGS.register("gin")
class GINEncoder(GraphLayers):
    """Graph isomorphism network (Xu et al., ICLR 2019); it does not see kinds of bonds."""

    kind: Literal["gin"] = Field(description="Graph isomorphism network (Xu et al.")
