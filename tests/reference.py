"""The network as a user of PyTorch Geometric would write it: what the fast one is compared with."""

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GCNConv, global_add_pool

from drugtail.features.atoms import BONDS, FEATURES
from drugtail.features.batch import InputShape
from drugtail.features.packed import GraphBatch, GraphStore
from drugtail.models.encoders.gcn import GCN, GraphConvolutionLayer
from drugtail.models.network import Network
from drugtail.models.stacked import BatchNorm, Dropout, Linear, state_of

# Shape of the features that a graph encoder gets.
ATOMS = InputShape("graph", FEATURES, len(BONDS))


def edge_index(batch: GraphBatch) -> Tensor:
    """Bonds of a batch without a dimension of seeds in both directions, int64 [2, edges]."""
    bonds = batch.row != batch.column
    return torch.stack([batch.column[bonds], batch.row[bonds]])


def plain_linear(layer: Linear, seed: int) -> nn.Linear:
    """PyTorch's own layer with the weights of one seed."""
    _, width_out, width_in = layer.weight.shape
    plain = nn.Linear(width_in, width_out)
    plain.load_state_dict(state_of(layer, seed))
    return plain


def plain_norm(layer: BatchNorm, seed: int) -> nn.BatchNorm1d:
    """PyTorch's own layer with the weights and statistics of one seed."""
    plain = nn.BatchNorm1d(layer.weight.shape[1])
    plain.load_state_dict(state_of(layer, seed), strict=False)
    return plain


def plain_classifier(layers: nn.Sequential, seed: int) -> nn.Sequential:
    """PyTorch's own layers with the weights of one seed."""
    made = {Linear: plain_linear, BatchNorm: plain_norm, nn.ReLU: lambda *_: nn.ReLU(),
            Dropout: lambda layer, _: nn.Dropout(layer.rate)}  # fmt: skip
    return nn.Sequential(*(made[type(layer)](layer, seed) for layer in layers))


class PlainLayer(nn.Module):
    """Graph convolution + ReLU of a linear residual, then batch norm, from ready-made parts."""

    def __init__(self, layer: GraphConvolutionLayer, seed: int) -> None:
        super().__init__()
        _, width_out, width_in = layer.convolution.weight.shape
        self.convolution = GCNConv(width_in, width_out, bias=False)
        with torch.no_grad():
            self.convolution.lin.weight.copy_(layer.convolution.weight[seed])
        self.residual = plain_linear(layer.residual, seed)
        self.norm = plain_norm(layer.norm, seed)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        return self.norm(self.convolution(x, edge_index) + torch.relu(self.residual(x)))


class PlainGCN(nn.Module):
    """The same encoder as that of one seed of `GCN`, with the same weights."""

    def __init__(self, model: GCN, seed: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(PlainLayer(layer, seed) for layer in model.layers)

    def forward(self, x: Tensor, edge_index: Tensor, molecule: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, edge_index)
        return global_add_pool(x, molecule)


class PlainNetwork(nn.Module):
    """The same network as that of one seed of `Network`, with the same weights."""

    def __init__(self, network: Network, seed: int = 0) -> None:
        super().__init__()
        self.encoder = PlainGCN(network.encoder, seed)
        head = network.heads[0]
        layers = nn.Sequential(*head.hidden, head.last)
        self.classifier = plain_classifier(layers, seed)

    def forward(self, data: Data) -> Tensor:
        return self.classifier(self.encoder(data.x, data.edge_index, data.batch))


def separate_graphs(store: GraphStore, labels: Tensor) -> list[Data]:
    """Every molecule of a store as an object of PyTorch Geometric."""
    graphs = []
    for i, label in enumerate(labels.tolist()):
        one = store.batch(torch.tensor([i]))
        features = store.type_features[one.atom_type]
        graphs.append(Data(x=features, edge_index=edge_index(one), y=torch.tensor([label])))
    return graphs
