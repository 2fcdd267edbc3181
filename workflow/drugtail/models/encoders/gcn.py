"""The graph convolutional network of the paper, all seeds at once."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.features.batch import InputShape
from drugtail.features.packed import GraphBatch
from drugtail.models.encoder import ENCODERS
from drugtail.models.environments import (
    Environments,
    Level,
    Rows,
    SparseMatrix,
    distinct_environments,
    every_atom,
)
from drugtail.models.stacked import BatchNorm, Linear, linear


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
        self.convolution = Linear(width_in, width_out, bias=False)
        self.residual = Linear(width_in, width_out)
        self.norm = BatchNorm(width_out)
        nn.init.xavier_uniform_(self.convolution.weight[0])

    def forward(self, x: Tensor, level: Level) -> Tensor:
        """Return the new features, [S, after, width_out].

        Parameters
        ----------
        x
            Features of the surroundings before the layer, [S, before, width_in].
        level
            How they lead to those after it.
        """
        bias = self.residual.bias
        assert bias is not None
        # One product for both maps, so their modules are never called: of each surroundings
        # there is first the convolution's row, then the residual's.
        both = linear(
            x,
            torch.cat([self.convolution.weight, self.residual.weight], dim=1),
            torch.cat([torch.zeros_like(bias), bias], dim=1),
        )
        width = bias.shape[1]
        summed = multiply_(level.matrix, both.view(-1, width), rectify=True)
        result: Tensor = self.norm(summed.view(*level.count.shape, width), level.count)
        return result


@ENCODERS.register("gcn")
class GCN(nn.Module):
    """Graph convolutional network with sum pooling.

    The encoder of Su, Li, Wang (arXiv:2504.04647): three layers of 128 on the 74 canonical atom
    features of DGL-LifeSci.

    Parameters
    ----------
    settings
        Number of layers and their width.
    shape
        Number of float features of an atom.
    """

    def __init__(self, settings: GraphEncoder, shape: InputShape) -> None:
        super().__init__()
        widths = [shape.features, *[settings.width] * settings.layers]
        self.layers = nn.ModuleList(
            GraphConvolutionLayer(a, b) for a, b in itertools.pairwise(widths)
        )
        self.width = settings.width

    def forward(self, batch: GraphBatch, keys: Tensor | None = None) -> Tensor:
        """Return one embedding per molecule, [S, molecules, width].

        Parameters
        ----------
        batch
            The molecules of S seeds.
        keys
            Source of randomness of each seed; nothing here is random.
        """
        x, found = self._convolved(batch)
        pooled = multiply_(found.pooling, x.flatten(0, 1))
        return pooled.view(len(x), batch.molecules + 1, self.width)[:, :-1]

    def atoms(self, batch: GraphBatch) -> Tensor:
        """Features of every atom after the last layer, [S, atoms, width], of which sums are taken.

        Parameters as in `forward`.
        """
        x, _ = self._convolved(batch, each=True)
        return x

    def _convolved(self, batch: GraphBatch, *, each: bool = False) -> tuple[Tensor, Environments]:
        """Features after the last layer of the surroundings, or of each atom, and what they are."""
        # How many surroundings differ is not known beforehand: no shape would be fixed, and a
        # GPU would have to be waited for.
        plain = each or batch.static_shapes or batch.norm.device.type != "cpu"
        find = every_atom if plain else distinct_environments
        found = find(batch, len(self.layers))
        x = found.x
        for layer, level in zip(self.layers, found.levels, strict=True):
            x = layer(x, level)
        return x, found


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
        result: Tensor = _Multiply.apply(x.to(matrix.rows.value.dtype), matrix, rectify)
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
            passed[1::2].mul_(rectified > 0)
        return passed, None, None


def _product(matrix: Rows, x: Tensor) -> Tensor:
    if x.device.type != "cpu":
        return sum_of_rows(matrix, x)
    # Not `@`, which would first fill the result with zeros, twice.
    result = x.new_empty(len(matrix.start) - 1, x.shape[1])
    return torch.addmm(result, matrix.to_sparse(), x.contiguous(), beta=0, out=result)


def sum_of_rows(matrix: Rows, x: Tensor) -> Tensor:
    """Sparse times dense, each row of the result added up in order: the same sum every time."""
    result: Tensor = torch.embedding_bag(
        x.contiguous(), matrix.column, matrix.start, per_sample_weights=matrix.value,
        include_last_offset=True,
    )[0]  # fmt: skip
    return result
