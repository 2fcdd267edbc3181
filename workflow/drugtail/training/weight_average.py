"""An exponential average of weights over the steps of a training."""

from __future__ import annotations

import copy

import torch
from torch import nn


class WeightAverage:
    """A network whose weights are an exponential average of those of one in training.

    Polyak and Juditsky (1992); as exponential average by Tarvainen and Valpola (NeurIPS 2017).
    Statistics of normalisations are averaged, too.

    Parameters
    ----------
    network
        The network in training, of S seeds; the average begins with its weights.
    factor
        Share of the average that is kept in a step.
    """

    def __init__(self, network: nn.Module, factor: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.factor = factor

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the weights of the network in training, in place."""
        trained = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(trained[name], 1 - self.factor)
            else:
                average.copy_(trained[name])
