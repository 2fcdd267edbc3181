"""Graph encoders: one embedding per molecule."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from drugtail.features.packed import Batch

# PyTorch says in every process that compressed sparse rows are in beta.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")


class GraphConvolutionLayer(nn.Module):
    """Graph convolution plus the ReLU of a linear residual, then batch normalisation.

    The convolution is that of Kipf and Welling (ICLR 2017), ``D^-1/2 (A + I) D^-1/2 X W + b``.
    Convolution and residual share one product, since both read X.

    Parameters
    ----------
    width_in, width_out
        Widths of X and of the result.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.convolution = nn.Linear(width_in, width_out, bias=False)
        self.convolution_bias = nn.Parameter(torch.zeros(width_out))
        self.residual = nn.Linear(width_in, width_out)
        self.norm = nn.BatchNorm1d(width_out)
        nn.init.xavier_uniform_(self.convolution.weight)

    def forward(
        self, x: Tensor, batch: Batch, weight: Tensor, atom: Tensor | None = None
    ) -> Tensor:
        """Return the new features of all atoms, [atoms, width_out].

        Parameters
        ----------
        x
            Features, [atoms, width_in], or [kinds, width_in] with `atom` given.
        batch
            The graph.
        weight
            Entries of the adjacency matrix, [entries], see `Batch`.
        atom
            Row of `x` that belongs to each atom. The linear maps then run once per kind of atom.
        """
        both = torch.cat([self.convolution.weight, self.residual.weight])
        mapped = x @ both.T
        if atom is not None:
            mapped = nn.functional.embedding(atom, mapped)
        convolved, residual = mapped.chunk(2, dim=1)
        spread = propagate(convolved, batch, weight) + self.convolution_bias
        result: Tensor = self.norm(spread + torch.relu(residual + self.residual.bias))
        return result


class GCN(nn.Module):
    """Graph convolutional network with sum pooling.

    The encoder of Su, Li, Wang (arXiv:2504.04647): three layers of 128 on the 74 canonical atom
    features of DGL-LifeSci.

    Parameters
    ----------
    features
        Number of float features of an atom.
    layers, width
        Number of layers and their width.
    """

    def __init__(self, features: int, layers: int = 3, width: int = 128) -> None:
        super().__init__()
        widths = [features, *[width] * layers]
        self.layers = nn.ModuleList(
            GraphConvolutionLayer(a, b) for a, b in itertools.pairwise(widths)
        )
        self.width = width

    def forward(self, batch: Batch, type_features: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return one embedding per molecule, [molecules, width].

        Parameters
        ----------
        batch
            The molecules.
        type_features
            Float features of the different atoms, [kinds, features]; `Batch.atom_type` chooses.
        weight
            Entries of the adjacency matrix, [entries]; `Batch.norm` if not given. A view with
            dropped edges gives its own.
        """
        weight = batch.norm if weight is None else weight
        first, *others = self.layers
        x: Tensor = first(type_features, batch, weight, batch.atom_type)
        for layer in others:
            x = layer(x, batch, weight)
        return x.new_zeros(batch.molecules, self.width).index_add_(0, batch.molecule, x)


def propagate(x: Tensor, batch: Batch, weight: Tensor) -> Tensor:
    """Multiply by the sparse adjacency matrix, [atoms, D] -> [atoms, D].

    The pattern is symmetric, so the transposed matrix of the backward pass has the same rows and
    columns, with each value taken from the entry in the opposite direction.
    """
    with torch.autocast(x.device.type, enabled=False):
        result: Tensor = _Propagate.apply(x.float(), batch, weight)
        return result


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, batch: Batch, weight: Tensor) -> Tensor:
        ctx.batch, ctx.weight = batch, weight
        return _csr(batch, weight) @ x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        transposed = ctx.weight[ctx.batch.reverse]
        return _csr(ctx.batch, transposed) @ gradient.contiguous(), None, None


def _csr(batch: Batch, weight: Tensor) -> Tensor:
    size = len(batch.atom_type)
    return torch.sparse_csr_tensor(
        batch.row_start, batch.column, weight, (size, size), check_invariants=False
    )
