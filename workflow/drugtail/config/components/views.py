"""Settings of augmented views."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.encoder import Form


class ViewsSettings(Settings):
    """Settings that all views have."""

    # Forms of features that there are views of.
    reads: ClassVar[tuple[Form, ...]] = ("graph",)

    classified: Literal["both", "first"] = Field(
        "both",
        description="Views that the classification loss is of; a contrastive term sees both.",
    )


class Drop(ViewsSettings):
    """Two views of each molecule with a random part left out.

    Of a graph bonds are left out, rather those that lead to atoms with few bonds; of a fingerprint
    bits that are set; of a vector numbers; of a graph with a vector both.
    """

    reads: ClassVar[tuple[Form, ...]] = ("graph", "bits", "vector", "graph_and_vector")

    name: Literal["drop"] = "drop"
    rates: list[float] = Field(
        [0.15, 0.10], min_length=2, max_length=2, description="Mean share left out of either view."
    )
    cap: float = Field(
        0.7, gt=0, le=1, description="Largest probability of leaving a bond of a graph out."
    )
