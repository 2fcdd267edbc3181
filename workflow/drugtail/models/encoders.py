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

    The convolution is that of Kipf and Welling (ICLR 2017), ``D^-1/2 (A + I) D^-1/2 X W``. Its
    bias is left out: the normalisation takes any constant away again.

    Parameters
    ----------
    width_in, width_out
        Widths of X and of the result.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.convolution = nn.Linear(width_in, width_out, bias=False)
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
        convolved, residual = self.convolution(x), self.residual(x)
        if atom is not None:
            convolved = nn.functional.embedding(atom, convolved)
            residual = nn.functional.embedding(atom, residual)
        result: Tensor = self.norm(propagate_and_add(convolved, residual, batch, weight))
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


def propagate_and_add(x: Tensor, residual: Tensor, batch: Batch, weight: Tensor) -> Tensor:
    """Sparse adjacency matrix times `x`, plus the ReLU of `residual`; both [atoms, D].

    The pattern is symmetric, so the transposed matrix of the backward pass has the same rows and
    columns, with each value taken from the entry in the opposite direction. The three steps are
    one, since each by itself costs a pass over memory.
    """
    with torch.autocast(x.device.type, enabled=False):
        result: Tensor = _PropagateAndAdd.apply(x.float(), residual.float(), batch, weight)
        return result


class _PropagateAndAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, batch: Batch, weight: Tensor) -> Tensor:
        ctx.batch, ctx.weight = batch, weight
        positive = torch.relu(residual)
        ctx.save_for_backward(positive)
        return torch.addmm(positive, _csr(batch, weight), x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (positive,) = ctx.saved_tensors
        gradient = gradient.contiguous()
        transposed = ctx.weight[ctx.batch.reverse]
        passed = torch.ops.aten.threshold_backward(gradient, positive, 0)
        return _csr(ctx.batch, transposed) @ gradient, passed, None, None


def _csr(batch: Batch, weight: Tensor) -> Tensor:
    size = len(batch.atom_type)
    return torch.sparse_csr_tensor(
        batch.row_start, batch.column, weight, (size, size), check_invariants=False
    )
