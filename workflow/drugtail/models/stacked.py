"""Layers of several networks of the same shape, one per seed, computed together.

Every parameter has a first dimension of seeds. No number of one seed enters another's: what is
computed for S seeds is what S networks compute one after the other, to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from drugtail.runtime.draws import at_least, mix

Module = TypeVar("Module", bound=nn.Module)


def stack(modules: Sequence[Module]) -> Module:
    """Join modules of the same shape along their first dimension of seeds."""
    whole = copy.deepcopy(modules[0])
    states = [module.state_dict(keep_vars=True) for module in modules]
    for name, tensor in whole.state_dict(keep_vars=True).items():
        tensor.data = torch.cat([state[name].data for state in states])
    return whole


def state_of(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """Copy of the state of one of the networks, without the dimension of seeds."""
    return {name: tensor[seed].clone() for name, tensor in module.state_dict().items()}


@torch.no_grad()
def load_state_of(module: nn.Module, seed: int, state: Mapping[str, Tensor]) -> None:
    """Put back what `state_of` returned, in place."""
    for name, tensor in module.state_dict().items():
        tensor[seed].copy_(state[name])


class Linear(nn.Module):
    """One linear map per seed, with PyTorch's usual initial weights.

    Parameters
    ----------
    width_in, width_out
        Widths.
    bias
        Whether there is one.
    """

    bias: nn.Parameter | None

    def __init__(self, width_in: int, width_out: int, bias: bool = True) -> None:
        super().__init__()
        one = nn.Linear(width_in, width_out, bias)
        self.weight = nn.Parameter(one.weight.detach()[None])
        self.register_parameter("bias", nn.Parameter(one.bias.detach()[None]) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """Map [S, n, width_in] to [S, n, width_out]."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Map [S, n, in] by weights [S, out, in] and a bias [S, out] to [S, n, out], seed by seed."""
    if bias is None:
        return torch.bmm(x, weight.mT)
    return torch.baddbmm(bias[:, None], x, weight.mT)


class Dropout(nn.Module):
    """Dropout per seed, from the seed's own source of randomness.

    Srivastava et al., JMLR 2014. Nothing is left out before `keys` is set.

    Parameters
    ----------
    rate
        Probability with which a number is left out in training.

    Attributes
    ----------
    keys : Tensor or None
        Source of randomness of each seed for the step at hand, int64 [S].
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.keys: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map [S, n, D] to [S, n, D]."""
        if not self.training or self.rate == 0 or self.keys is None:
            return x
        return x * at_least(mix(self.keys), self.rate, *x.shape[1:]) / (1 - self.rate)


class BatchNorm(nn.Module):
    """Batch normalisation per seed, of rows that may stand for several equal ones each.

    Ioffe and Szegedy (ICML 2015). A single row has no variance: it becomes the shift.

    Parameters
    ----------
    features
        Number of features.
    momentum, eps
        As in PyTorch.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(1, features))
        self.bias = nn.Parameter(torch.zeros(1, features))
        self.register_buffer("running_mean", torch.zeros(1, features))
        self.register_buffer("running_var", torch.ones(1, features))

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Normalise as if row i of a seed stood there `count[i]` times.

        Parameters
        ----------
        x
            [S, rows, features].
        count
            [S, rows]; None counts every row once.
        """
        if not self.training:
            scale = self.weight * (self.running_var + self.eps).rsqrt()
            shift = self.bias - self.running_mean * scale
            return torch.addcmul(shift[:, None], x, scale[:, None])
        count = x.new_ones(1, x.shape[1]).expand(len(x), -1) if count is None else count
        # Half precision would be too coarse for the sums.
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        with torch.autocast(x.device.type, enabled=False):
            result, mean, variance, total = _Normalisation.apply(
                x, count, self.weight, self.bias, self.eps
            )
            with torch.no_grad():
                unbiased = variance * (total / (total - 1).clamp(min=1))
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(unbiased, self.momentum)
        normalised: Tensor = result
        return normalised


class _Normalisation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, count: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        total = count.to(x.dtype).sum(dim=1, keepdim=True)
        share = (count.to(x.dtype) / total)[:, None]
        mean = share @ x
        normal = x - mean
        variance = share @ normal.square()
        inverse = (variance + eps).rsqrt()
        normal *= inverse
        ctx.save_for_backward(normal, share.mT, inverse, scale)
        statistics = mean[:, 0], variance[:, 0], total
        ctx.mark_non_differentiable(*statistics)
        return torch.addcmul(shift[:, None], normal, scale[:, None]), *statistics

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, *_: Tensor
    ) -> tuple[Tensor, None, Tensor, Tensor, None]:
        normal, share, inverse, scale = ctx.saved_tensors
        shift_gradient = gradient.sum(dim=1)
        scale_gradient = (gradient * normal).sum(dim=1)
        # What the row does to the mean and the variance goes to each of its atoms.
        through_statistics = torch.addcmul(shift_gradient[:, None], normal, scale_gradient[:, None])
        passed = torch.addcmul(gradient, through_statistics, share, value=-1)
        return passed.mul_(inverse * scale[:, None]), None, scale_gradient, shift_gradient, None
