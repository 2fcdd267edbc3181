"""Graph encoders: one embedding per molecule."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from drugtail.features.packed import Batch
from drugtail.models.environments import (
    Level,
    SparseMatrix,
    distinct_environments,
    every_atom,
)


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
        self.norm = CountedBatchNorm(width_out)
        nn.init.xavier_uniform_(self.convolution.weight)

    def forward(self, x: Tensor, level: Level) -> Tensor:
        """Return the new features, [after, width_out].

        Parameters
        ----------
        x
            Features of the distinct surroundings before the layer, [before, width_in].
        level
            How they lead to those after it.
        """
        bias = self.residual.bias
        # One product for both maps, so their modules are never called: row 2k is the
        # convolution's of surroundings k, 2k + 1 the residual's.
        both = nn.functional.linear(
            x,
            torch.cat([self.convolution.weight, self.residual.weight]),
            torch.cat([torch.zeros_like(bias), bias]),
        )
        if level.repeat is not None:
            both = nn.functional.embedding(level.repeat, both)
        rows = both.view(2 * len(both), self.norm.num_features)
        result: Tensor = self.norm(multiply_(level.matrix, rows, rectify=True), level.count)
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
            dropped edges gives its own. No gradient flows to them.
        """
        weight = batch.norm if weight is None else weight
        # How many surroundings differ is not known beforehand: a GPU would have to be waited for.
        find = distinct_environments if weight.device.type == "cpu" else every_atom
        environments = find(batch, weight, len(type_features), len(self.layers))
        x = type_features
        for layer, level in zip(self.layers, environments.levels, strict=True):
            x = layer(x, level)
        return multiply_(environments.pooling, x)


class CountedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of rows that stand for several equal ones each."""

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Normalise as if row i of `x` stood there `count[i]` times.

        Parameters
        ----------
        x
            [rows, features].
        count
            [rows]; None counts every row once.
        """
        if count is None or not self.training:
            result: Tensor = super().forward(x)
            return result
        if count.sum() < 2:
            raise ValueError("a batch of a single atom has no variance; train on larger ones")
        with torch.autocast(x.device.type, enabled=False):
            result, mean, variance, total = _CountedNormalisation.apply(
                x, count, self.weight, self.bias, self.eps
            )
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (total / (total - 1)), self.momentum)
        return result


class _CountedNormalisation(torch.autograd.Function):
    """Ioffe and Szegedy (ICML 2015), with weights on the rows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, count: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count = count.to(x.dtype)
        total = count.sum()
        mean = (count @ x) / total
        normal = x - mean
        variance = (count @ normal.square()) / total
        inverse = (variance + eps).rsqrt()
        normal *= inverse
        ctx.save_for_backward(normal, count / total, inverse, scale)
        ctx.mark_non_differentiable(mean, variance, total)
        return torch.addcmul(shift, normal, scale), mean, variance, total

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, *_: Tensor
    ) -> tuple[Tensor, None, Tensor, Tensor, None]:
        normal, share, inverse, scale = ctx.saved_tensors
        shift_gradient = gradient.sum(dim=0)
        scale_gradient = (gradient * normal).sum(dim=0)
        # What the row does to the mean and the variance goes to each of its atoms.
        through_statistics = torch.addcmul(shift_gradient, normal, scale_gradient)
        passed = torch.addcmul(gradient, through_statistics, share[:, None], value=-1)
        return passed.mul_(inverse * scale), None, scale_gradient, shift_gradient, None


def multiply_(matrix: SparseMatrix, x: Tensor, *, rectify: bool = False) -> Tensor:
    """Sparse matrix times `x`, in the precision of the matrix.

    Parameters
    ----------
    matrix
        [n, m].
    x
        [m, D].
    rectify
        Whether every second row of `x` goes through a ReLU first. That overwrites `x`, for want of
        memory bandwidth: the operation before must not need its result for a gradient (a linear
        map does not).

    Returns
    -------
    Tensor
        [n, D].
    """
    with torch.autocast(x.device.type, enabled=False):
        result: Tensor = _Multiply.apply(x.to(matrix.rows.dtype), matrix, rectify)
        return result


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: SparseMatrix, rectify: bool) -> Tensor:
        ctx.matrix = matrix
        if rectify:
            ctx.save_for_backward(x.detach()[1::2].relu_())
        return _product(matrix.rows, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        passed = _product(ctx.matrix.columns, gradient)
        for rectified in ctx.saved_tensors:
            passed[1::2] *= rectified > 0
        return passed, None, None


def _product(matrix: Tensor, x: Tensor) -> Tensor:
    """Sparse times dense; PyTorch's operator would first fill the result with zeros, twice."""
    result = x.new_empty(matrix.shape[0], x.shape[1])
    return torch.addmm(result, matrix, x.contiguous(), beta=0, out=result)
