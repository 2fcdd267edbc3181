"""Settings of augmented views."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.base import Settings


class EdgeDrop(Settings):
    """Two views of each molecule with edges dropped, rather those that lead to low-degree atoms."""

    name: Literal["edge_drop"] = "edge_drop"
    rates: list[float] = Field(
        [0.15, 0.10], min_length=2, max_length=2, description="Mean drop rate of either view."
    )
    cap: float = Field(0.7, gt=0, le=1, description="Largest probability of dropping an edge.")
