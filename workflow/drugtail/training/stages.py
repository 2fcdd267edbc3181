"""What comes after the first training: a second stage, or a change of the last layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from drugtail.methods.posthoc import nearest_class_mean, tau_normalised
from drugtail.models.stacked import Linear, load_state_of
from drugtail.training.pool import Pool
from drugtail.training.problem import TRAIN, VALID
from drugtail.training.second_phase import begin_second_phase

if TYPE_CHECKING:
    from drugtail.training.engine import Run


def trained_parameters(run: Run) -> list[nn.Parameter]:
    """What is trained at the stage of a training; everything else is frozen."""
    stage = run.recipe.second_stage
    if not run.objective.second_stage or stage is None:
        return [
            parameter
            for module in (run.network, run.companion)
            for parameter in module.parameters()
            if parameter.requires_grad
        ]
    if stage.name == "classifier_retraining":
        chosen = list(run.network.head.last.parameters())
    elif stage.name == "learned_scales":
        chosen = [run.network.scale]
    else:
        return [p for p in run.network.parameters() if p.requires_grad]
    run.network.requires_grad_(False)
    for parameter in chosen:
        parameter.requires_grad_(True)
    return chosen


def parameter_groups(run: Run) -> list[dict[str, Any]]:
    """`trained_parameters` with their weight decay, as a PyTorch optimiser takes them.

    The second branch of `bbn` has none: its loss counts (t/T)², next to nothing at first. Adam
    takes steps of full size however small a gradient is, so that the decay alone would make all
    its weights zero within a few epochs; stochastic gradient descent, with which Zhou et al. (CVPR
    2020) train, would not.
    """
    parameters, decay = trained_parameters(run), run.training.weight_decay
    mixing = run.recipe.mixing
    if mixing is None or mixing.name != "bilateral":
        return [{"params": parameters, "weight_decay": decay}]
    second = set(run.network.heads[1].parameters())
    return [
        {"params": [p for p in parameters if p not in second], "weight_decay": decay},
        {"params": list(run.network.heads[1].parameters()), "weight_decay": 0.0},
    ]


def enter_second_stage(run: Run) -> None:
    """Begin the second stage of a recipe from the best weights of the first.

    The first stage is everything trained so far; its weights of the best validation balanced
    accuracy are taken, and from now on only epochs of the second stage can be chosen.
    """
    stage = run.recipe.second_stage
    assert stage is not None
    for index, seed in run.active():
        if seed.best_weights is not None:
            load_state_of(run.network, index, seed.best_weights)
        seed.forget_best()
    if stage.name == "two_phase":
        begin_second_phase(run, stage)
    elif stage.name == "distillation":
        _begin_distillation(run)
    else:
        _begin_on_features(run, anew=stage.name == "classifier_retraining")


def _begin_on_features(run: Run, *, anew: bool) -> None:
    """Freeze everything before the last layer (Kang et al., ICLR 2020, section 4.2).

    The representation is the encoder and the hidden layers of the head. As nothing of it changes
    any more, its features of the training molecules are computed once.
    """
    pool = run.objective.pool
    features = run.predict(run.parts[TRAIN]).features
    if anew:
        fresh = run.new_network("retraining")
        run.network.head.last.load_state_dict(fresh.head.last.state_dict())
    run.use_second_stage(Pool(pool.molecules, pool.labels, features=features))


def _begin_distillation(run: Run) -> None:
    """Start a new network that learns from the one trained so far (He et al., ICCV 2021)."""
    pool = run.objective.pool
    teacher = run.predict(run.parts[TRAIN]).logits
    run.network.load_state_dict(run.new_network("student").state_dict())
    taught = torch.ones_like(pool.labels, dtype=torch.bool)
    run.use_second_stage(Pool(pool.molecules, pool.labels, teacher=teacher, taught=taught))


@torch.no_grad()
def apply_posthoc(run: Run, chosen: list[int]) -> None:
    """Change the last layer of the chosen seeds' networks for prediction.

    The epoch was chosen with the layer as it was trained (Kang et al. change a finished network),
    so that validation metrics in the history are those of the plain network. Only the shift of
    logits, which costs nothing, is in force at every validation.
    """
    part = run.recipe.posthoc
    assert part is not None
    if part.name == "logit_adjustment":
        # In force all along: see `Run`.
        return
    last = run.network.head.last
    assert isinstance(last, Linear)
    assert last.bias is not None
    where = VALID if part.name == "tau_norm" else TRAIN
    features, labels = run.predict(run.parts[where]).features, run.labels[run.parts[where]]
    for index in chosen:
        changed: tuple[Tensor, Tensor]
        if part.name == "tau_norm":
            changed = tau_normalised(
                last.weight[index], last.bias[index], features[index], labels, steps=part.steps
            )
        else:
            changed = nearest_class_mean(features[index], labels, run.problem.classes)
        last.weight[index], last.bias[index] = changed
