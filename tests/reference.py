"""The network as a user of PyTorch Geometric would write it: what the fast one is compared with."""

import copy

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, global_add_pool

from drugtail.features.packed import GraphStore
from drugtail.models.encoders import GCN
from drugtail.models.network import Network


class PlainLayer(nn.Module):
    """Graph convolution + ReLU of a linear residual, then batch norm, from ready-made parts."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.convolution = GCNConv(width_in, width_out, bias=False)
        self.residual = nn.Linear(width_in, width_out)
        self.norm = nn.BatchNorm1d(width_out)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.norm(self.convolution(x, edge_index) + torch.relu(self.residual(x)))


class PlainGCN(nn.Module):
    """The same encoder as `GCN`, with the same weights."""

    def __init__(self, model: GCN) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for layer in model.layers:
            width_out, width_in = layer.convolution.weight.shape
            plain = PlainLayer(width_in, width_out)
            with torch.no_grad():
                plain.convolution.lin.weight.copy_(layer.convolution.weight)
            plain.residual.load_state_dict(layer.residual.state_dict())
            plain.norm.load_state_dict(layer.norm.state_dict())
            self.layers.append(plain)

    def forward(self, x: Tensor, edge_index: Tensor, molecule: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, edge_index)
        return global_add_pool(x, molecule)


class PlainNetwork(nn.Module):
    """The same network as `Network`, with the same weights."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.encoder = PlainGCN(network.encoder)
        self.classifier = copy.deepcopy(network.classifier)

    def forward(self, data: Data) -> Tensor:
        return self.classifier(self.encoder(data.x, data.edge_index, data.batch))


def separate_graphs(store: GraphStore, labels: Tensor) -> list[Data]:
    """Every molecule of a store as an object of PyTorch Geometric."""
    graphs = []
    for i, label in enumerate(labels.tolist()):
        one = store.batch(torch.tensor([i]))
        features = store.type_features[one.atom_type]
        graphs.append(Data(x=features, edge_index=one.edge_index, y=torch.tensor([label])))
    return graphs
