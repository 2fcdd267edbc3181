"""Settings of encoders: what makes an embedding of a molecule."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.base import NAME, Settings


class GraphEncoder(Settings):
    """Graph convolutions on the packed molecular graphs, and the head on top."""

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    kind: Literal["gcn"] = Field(description="Which encoder.")
    featurizer: Literal["atoms"] = Field("atoms", description="Features it reads.")
    layers: int = Field(3, ge=1, description="Graph convolutions.")
    width: int = Field(128, ge=1, description="Width of each layer.")
    head: list[int] = Field([128, 128], description="Widths of the head's hidden layers.")


class FingerprintEncoder(Settings):
    """No network: the classifier reads fingerprints."""

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    kind: Literal["fingerprint"] = Field(description="No encoder at all.")
    featurizer: Literal["morgan"] = Field("morgan", description="Features it reads.")
