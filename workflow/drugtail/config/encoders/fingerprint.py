"""Settings of what is no encoder: features as they are."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS, Encoder, Form


@SETTINGS.register("fingerprint")
class FingerprintEncoder(Encoder):
    """No network: the classifier reads the features as they are."""

    reads: ClassVar[tuple[Form, ...]] = ("bits", "vector")

    kind: Literal["fingerprint"] = Field(description="No encoder at all.")
    featurizer: str = Field("morgan", description="Features it reads.")
