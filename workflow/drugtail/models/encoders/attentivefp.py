"""AttentiveFP."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn.models import AttentiveFP

from drugtail.config.encoders.attentivefp import AttentiveFPEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS


@ENCODERS.register("attentivefp")
class AttentiveFPNetwork(nn.Module):
    """PyTorch Geometric's AttentiveFP (Xiong et al., J. Med. Chem. 2020, 63, 8749)."""

    def __init__(self, settings: AttentiveFPEncoder, shape: InputShape) -> None:
        super().__init__()
        self.width = settings.width
        self.model = AttentiveFP(
            shape.features, settings.width, settings.width, shape.edge_features,
            settings.layers, settings.timesteps, settings.dropout,
        )  # fmt: skip

    def forward(self, data: Data) -> Tensor:
        """Return embeddings of molecules, [B, width]."""
        found: Tensor = self.model(data.x, data.edge_index, data.edge_attr, data.batch)
        return found
