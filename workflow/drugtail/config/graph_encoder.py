"""Settings that encoders of PyTorch Geometric's layers have in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from drugtail.config.encoder import EncoderSettings


class GraphLayers(EncoderSettings):
    """A stack of graph layers of one width, whose atoms are summed to the embedding."""

    atoms: ClassVar[bool] = True

    layers: int = Field(3, ge=1, le=100, description="Number of graph layers.")
    width: int = Field(
        128, ge=1, le=16_384, description="Width of each layer, and of the embedding."
    )
