"""Settings of second stages."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.components.losses import BalancedSoftmax, CrossEntropy, Loss
from drugtail.config.components.samplers import ClassBalancedSampler, InstanceSampler, Sampler
from drugtail.config.components.weights import (
    ClassWeights,
    CostSensitiveWeights,
    UniformWeights,
)


class SecondStageSettings(Settings):
    """Settings that every second stage has."""

    # Whether it works on one linear last layer only.
    linear_only: ClassVar[bool] = False
    # Whether it leaves the embeddings as they are: classes are then clustered in the first alone.
    keeps_features: ClassVar[bool] = False
    # Whether its network learns from a teacher: then its settings have ``temperature``, ``power``
    # and ``weight``, and views or mixing cannot be beside it.
    teaches: ClassVar[bool] = False
    # Whether it asks the encoder for features of single atoms.
    needs_atoms: ClassVar[bool] = False
    # Whether its classifier learns the class shares of its own sampler, and nothing else.
    keeps_shares: ClassVar[bool] = False

    start: float = Field(
        0.8, gt=0, lt=1, description="Share of the epochs before it; they are its first stage."
    )
    sampler: Sampler = Field(InstanceSampler(), description="Draws its epochs.")
    loss: Loss | None = Field(
        None, description="Its classification loss; null goes on with loss and weights as before."
    )
    class_weights: ClassWeights = Field(
        UniformWeights(), description="Weights in its loss, where it has one of its own."
    )


class _OnFrozenFeatures(SecondStageSettings):
    linear_only: ClassVar[bool] = True
    keeps_features: ClassVar[bool] = True
    keeps_shares: ClassVar[bool] = True

    sampler: Sampler = Field(
        ClassBalancedSampler(name="class_balanced"), description="Draws its epochs."
    )


class ClassifierRetraining(_OnFrozenFeatures):
    """A new last layer on frozen features (cRT; Kang et al., ICLR 2020)."""

    name: Literal["classifier_retraining"]


class LearnedScales(_OnFrozenFeatures):
    """One learned scale for each class's logit, all else frozen (LWS; Kang et al., ICLR 2020).

    The authors learn scales with plain gradient descent at a rate of 0.2. Here Adam moves a scale
    by about the learning rate in a step. In the 60 epochs that 300 leave, in which the learning
    rate begins anew, that is up to 1.8 on 5,000 molecules, but hardly anything in a shortened
    training.
    """

    name: Literal["learned_scales"]


class LearnedMargins(_OnFrozenFeatures):
    """A learned scale and margin for each class's logit, all else frozen (MARC; Wang, ACML 2022).

    Weights in the loss take the place of balanced samples, as the authors have it.
    """

    name: Literal["learned_margins"]
    sampler: Sampler = Field(InstanceSampler(), description="Draws its epochs.")
    loss: Loss | None = Field(CrossEntropy(), description="Its classification loss.")
    class_weights: ClassWeights = Field(
        CostSensitiveWeights(name="cost_sensitive", gamma=1.2), description="Weights in its loss."
    )


class Distillation(SecondStageSettings):
    """A new network learns from the first one's flattened outputs (DiVE; He, ICCV 2021)."""

    teaches: ClassVar[bool] = True

    name: Literal["distillation"]
    start: float = Field(
        0.5, gt=0, lt=1, description="Share of the epochs before it; they are its first stage."
    )
    temperature: float = Field(2.0, gt=0, description="Temperature of both networks' outputs.")
    power: float = Field(
        0.5, gt=0, le=1, description="The teacher's probabilities are raised to it."
    )
    weight: float = Field(
        0.5, ge=0, le=1, description="Weight of the teacher; the labels have the rest."
    )
    loss: Loss | None = Field(
        BalancedSoftmax(name="balanced_softmax"), description="Classification loss of the student."
    )


class TwoPhase(SecondStageSettings):
    """The head thinned and distilled, the tail grown by grafting (He et al., 2023)."""

    teaches: ClassVar[bool] = True
    needs_atoms: ClassVar[bool] = True
    # The first network's outputs are learned as they are.
    power: ClassVar[float] = 1.0

    name: Literal["two_phase"]
    start: float = Field(
        0.5, gt=0, lt=1, description="Share of the epochs before it; they are its first stage."
    )
    size: float = Field(
        1.0, gt=0, description="To which every class is thinned or grown, in mean class sizes."
    )
    temperature: float = Field(2.0, gt=0, description="Temperature of both phases' outputs.")
    weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Weight of phase 1's outputs, for molecules of thinned classes.",
    )


SecondStage = Annotated[
    ClassifierRetraining | LearnedScales | LearnedMargins | Distillation | TwoPhase,
    Field(discriminator="name"),
]  # fmt: skip
