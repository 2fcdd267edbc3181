"""Settings of the encoder pyg."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.encoder import SETTINGS
from drugtail.config.graph_encoder import GraphLayers


@SETTINGS.register("pyg")
class PyGEncoder(GraphLayers):
    """Layers of any class of PyTorch Geometric, or of an installed package."""

    kind: Literal["pyg"] = Field(
        description="Layers of any class of PyTorch Geometric, or of an installed package."
    )
    layer: str = Field(
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$",
        description="Dotted name of the class, such as torch_geometric.nn.TransformerConv. It is "
        "made with two widths, the arguments below, and edge_dim if it takes that.",
    )
    arguments: dict[str, bool | int | float | str] = Field(
        {}, description="Further arguments of the class."
    )
