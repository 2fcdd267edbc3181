"""Settings of the multilayer perceptron."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS, EncoderSettings, Form


@SETTINGS.register("mlp")
class MLPEncoder(EncoderSettings):
    """Fully connected layers on a fingerprint or another vector, and the head on top."""

    reads: ClassVar[tuple[Form, ...]] = ("bits", "vector")
    batched: ClassVar[bool] = True

    kind: Literal["mlp"] = Field(description="Name of the encoder.")
    featurizer: str = Field("morgan", description="Features it reads.")
    layers: int = Field(2, ge=1, le=100, description="Fully connected layers.")
    width: int = Field(256, ge=1, le=16_384, description="Width of each layer.")
