"""Steps after the first training: a second stage, or a change of the last layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from drugtail.methods.posthoc import POSTHOC, FittedLayer
from drugtail.models.network import Network
from drugtail.models.stacked import Linear, load_state_of
from drugtail.runtime.registry import Registry
from drugtail.training.pool import Pool
from drugtail.training.problem import TRAIN
from drugtail.training.second_stage_two_phase import grafted_pools, use_pools
from drugtail.training.seed_state import SeedState


class SecondStage(ABC):
    """A way to go on after the first stage."""

    @abstractmethod
    def begin(self, state: SeedState, settings: Any) -> None:
        """Choose what is trained on, and go on with it by `SeedState.use_second_stage`.

        Parameters
        ----------
        state
            The seeds, each with its best weights of the first stage.
        settings
            Settings of the component.
        """

    def trained_parameters(self, network: Network) -> list[nn.Parameter]:
        """Return the parameters to train, and freeze all others; by default the whole network."""
        return [p for p in network.parameters() if p.requires_grad]


SECOND_STAGES: Registry[type[SecondStage]] = Registry("second stage")


def enter_second_stage(state: SeedState) -> None:
    """Begin the second stage of a recipe from the best weights of the first.

    The first stage is everything trained so far; its weights of the best validation balanced
    accuracy are taken, and from now on only epochs of the second stage can be chosen.
    """
    settings = state.recipe.second_stage
    assert settings is not None
    for index, seed in state.active():
        if seed.best_weights is not None:
            load_state_of(state.network, index, seed.best_weights)
        seed.forget_best()
    SECOND_STAGES[settings.name]().begin(state, settings)


class _OnFrozenFeatures(SecondStage):
    """Train on the features of frozen layers (Kang et al., ICLR 2020, section 4.2).

    The representation is the encoder and the hidden layers of the head. As nothing of it changes
    any more, its features of the training molecules are computed once.
    """

    def begin(self, state: SeedState, settings: Any) -> None:
        pool = state.objective.pool
        features = state.predict(state.subsets[TRAIN]).features
        self.prepare(state)
        state.use_second_stage(Pool(pool.molecules, pool.labels, features=features))

    def prepare(self, state: SeedState) -> None:
        """Change the network before its last layer is trained."""

    def trained_parameters(self, network: Network) -> list[nn.Parameter]:
        chosen = self.chosen_parameters(network)
        network.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen

    @abstractmethod
    def chosen_parameters(self, network: Network) -> list[nn.Parameter]:
        """Return the parameters that are not frozen."""


@SECOND_STAGES.register("classifier_retraining")
class ClassifierRetraining(_OnFrozenFeatures):
    """Train a new last layer (cRT)."""

    def prepare(self, state: SeedState) -> None:
        """Give the last layer fresh weights."""
        fresh = state.new_network("retraining")
        state.network.head.last.load_state_dict(fresh.head.last.state_dict())

    def chosen_parameters(self, network: Network) -> list[nn.Parameter]:
        """Return those of the last layer."""
        return list(network.head.last.parameters())


@SECOND_STAGES.register("learned_scales")
class LearnedScales(_OnFrozenFeatures):
    """Learn one scale for each class's logit (LWS)."""

    def chosen_parameters(self, network: Network) -> list[nn.Parameter]:
        """Return the scales."""
        return [network.scale]


@SECOND_STAGES.register("learned_margins")
class LearnedMargins(_OnFrozenFeatures):
    """Learn a scale and a margin for each class's logit (MARC).

    Wang et al., "Margin Calibration for Long-Tailed Visual Recognition", ACML 2022,
    arXiv:2112.07225: s'_c = ω_c s_c + β_c ‖w_c‖, w_c the frozen weights of the class. Here the
    whole second term is learned, which is the same set of functions.
    """

    def chosen_parameters(self, network: Network) -> list[nn.Parameter]:
        """Return scales and margins."""
        return [network.scale, network.offset]


@SECOND_STAGES.register("distillation")
class Distillation(SecondStage):
    """Train a new network that learns from the one trained so far (He et al., ICCV 2021)."""

    def begin(self, state: SeedState, settings: Any) -> None:
        """Keep the first network's logits, and start a new network."""
        pool = state.objective.pool
        teacher = state.predict(state.subsets[TRAIN]).logits
        state.network.load_state_dict(state.new_network("student").state_dict())
        taught = torch.ones_like(pool.labels, dtype=torch.bool)
        state.use_second_stage(Pool(pool.molecules, pool.labels, teacher=teacher, taught=taught))


@SECOND_STAGES.register("two_phase")
class TwoPhase(SecondStage):
    """Train on a thinned head and a tail grown by grafting, taught by the first stage."""

    def begin(self, state: SeedState, settings: Any) -> None:
        """Choose and make the molecules for every seed."""
        pools, grafted, size = grafted_pools(state, settings.size)
        use_pools(state, pools, grafted, thinned=state.objective.classes.counts > size)


def posthoc_shift(settings: Any, counts: Tensor) -> Tensor | None:
    """Return what a posthoc change adds to the logits at prediction, [C]; None if nothing."""
    if settings is None or settings.fitted_on is not None:
        return None
    shift: Tensor = POSTHOC.guarded(settings.name)(settings, counts)
    return shift


@torch.no_grad()
def change_last_layer(state: SeedState, chosen: list[int]) -> None:
    """Change the last layer of the chosen seeds' networks for prediction, if the recipe does.

    The epoch was chosen with the layer as it was trained (Kang et al. change a finished network),
    so that validation metrics in the history are those of the plain network. Only a shift of the
    logits, which costs nothing, is in force at every validation.
    """
    settings = state.recipe.posthoc
    if settings is None or settings.fitted_on is None:
        return
    last = state.network.head.last
    assert isinstance(last, Linear)
    assert last.bias is not None
    molecules = state.subsets[settings.fitted_on]
    features, labels = state.predict(molecules).features, state.labels[molecules]
    for index in chosen:
        layer = FittedLayer(last.weight[index], last.bias[index], features[index], labels)
        last.weight[index], last.bias[index] = POSTHOC.guarded(settings.name)(settings, layer)
