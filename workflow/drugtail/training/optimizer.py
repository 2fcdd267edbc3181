"""Parameters that are trained, and their weight decay."""

from __future__ import annotations

from typing import Any

from torch import nn

from drugtail.config.base import declares
from drugtail.training.second_stage import SECOND_STAGES
from drugtail.training.seed_state import SeedState


def trained_parameters(state: SeedState) -> list[nn.Parameter]:
    """Return the parameters to train in the current stage; all others are frozen."""
    stage = state.recipe.second_stage
    if state.objective.second_stage and stage is not None:
        return SECOND_STAGES[stage.name]().trained_parameters(state.network)
    return [
        parameter
        for module in (state.network, state.companion)
        for parameter in module.parameters()
        if parameter.requires_grad
    ]


def parameter_groups(state: SeedState) -> list[dict[str, Any]]:
    """`trained_parameters` with their weight decay, as a PyTorch optimiser takes them.

    The second branch of `bbn` has none: its loss counts (t/T)², next to nothing at first. Adam
    takes steps of full size however small a gradient is, so that an L2 penalty alone would make
    all its weights zero within a few epochs; stochastic gradient descent, with which Zhou et al.
    (CVPR 2020) train, would not.
    """
    own = state.recipe.optimizer
    decay = state.training.weight_decay if own is None else own.weight_decay
    parameters = trained_parameters(state)
    if not declares(state.recipe.mixing, "branches"):
        return [{"params": parameters, "weight_decay": decay}]
    second = set(state.network.heads[1].parameters())
    return [
        {"params": [p for p in parameters if p not in second], "weight_decay": decay},
        {"params": list(state.network.heads[1].parameters()), "weight_decay": 0.0},
    ]
