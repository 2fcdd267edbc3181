"""Settings of the graph convolutional network."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS, EncoderSettings


@SETTINGS.register("gcn")
class GraphEncoder(EncoderSettings):
    """Graph convolutions on the packed molecular graphs, and the head on top."""

    batched: ClassVar[bool] = True
    atoms: ClassVar[bool] = True

    kind: Literal["gcn"] = Field(description="Name of the encoder.")
    layers: int = Field(3, ge=1, le=100, description="Graph convolutions.")
    width: int = Field(128, ge=1, le=16_384, description="Width of each layer.")
