"""A method is a recipe: orthogonal components, chosen by name, each with its settings.

The settings of components are in `drugtail.config.components`; this module says which go together.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from drugtail.config.base import DESCRIPTION, Settings, declares
from drugtail.config.components.classical import Classifier
from drugtail.config.components.clustering import Schedule, Subclusters
from drugtail.config.components.contrastive import Contrastive
from drugtail.config.components.ensemble import Ensemble
from drugtail.config.components.losses import CrossEntropy, Loss
from drugtail.config.components.mixing import Mixing
from drugtail.config.components.network import Experts, LastLayer, LinearLayer
from drugtail.config.components.posthoc import Posthoc
from drugtail.config.components.samplers import InstanceSampler, Sampler
from drugtail.config.components.second_stage import SecondStage
from drugtail.config.components.sharpness import SharpnessAware
from drugtail.config.components.views import Drop
from drugtail.config.components.weights import ClassWeights, UniformWeights
from drugtail.config.training import OptimizerName

Family = Literal[
    "baseline", "resampling", "reweighting", "adjustment", "decoupled", "mixing", "contrastive",
    "experts", "classical", "ensemble", "proposed", "other",
]  # fmt: skip


class Reference(Settings):
    """Publication of a method."""

    authors: str = Field(description="Authors as they are usually cited.")
    year: int = Field(description="Year of publication.")
    venue: str = Field(description="Journal, conference or preprint server.")
    link: str | None = Field(None, description="DOI or arXiv number.")


# -------------------------------------------------------------------------------- tuning


class Space(Settings):
    """Values that tuning may choose for a setting: a range of numbers, or choices."""

    low: int | float | None = Field(None, description="Least number of a range.")
    high: int | float | None = Field(None, description="Largest number of a range.")
    log: bool = Field(False, description="Draw the logarithm of the number evenly.")
    choices: list[Any] | None = Field(
        None, min_length=1, description="All values there are, instead of a range."
    )

    @model_validator(mode="after")
    def _range_or_choices(self) -> Space:
        if self.choices is not None:
            if self.model_fields_set != {"choices"}:
                raise ValueError("give either low and high (and log) or choices")
            repeated = [v for i, v in enumerate(self.choices) if v in self.choices[:i]]
            if repeated:
                raise ValueError(f"choices: {repeated[0]!r} is named twice; name it once")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give either low and high (and log) or choices")
        if self.low >= self.high:
            raise ValueError(f"low, {self.low}, must be less than high, {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low, {self.low}, must be greater than 0 with log")
        return self

    @property
    def ends(self) -> list[Any]:
        """Both ends of a range, or all choices."""
        return [self.low, self.high] if self.choices is None else self.choices


# What is tuned of every network, whatever its recipe adds: a fair comparison gives each method the
# learning rate that suits its loss. A recipe that names the key gives a range of its own.
NETWORK_TUNING = {"training.learning_rate": Space(low=3e-4, high=3e-3, log=True)}

# -------------------------------------------------------------------------------- recipe


class OwnOptimizer(Settings):
    """An optimiser that is part of a method."""

    name: OptimizerName = Field(description="Instead of the benchmark's.")
    weight_decay: float = Field(ge=0, description="Instead of the benchmark's.")


class Recipe(Settings):
    """One method: what it is, and the components it is made of."""

    name: str = Field(description="Name of the method; equals the file name.")
    family: Family = Field(
        description="Family in the survey's sense, and the folder of the catalogue; `other` is for "
        "methods of your own that are of none."
    )
    idea: str = Field(description="One sentence on the idea.")
    reference: Reference | None = Field(None, description="Publication.")
    reconstruction: str = Field(
        "",
        description="Says what was taken from a publication that does not say all, and what is "
        "ours. Tables say it below, lists beside the idea.",
    )
    sampler: Sampler = Field(InstanceSampler(), description="Sampler of an epoch.")
    class_weights: ClassWeights = Field(UniformWeights(), description="Weights in the loss.")
    loss: Loss = Field(CrossEntropy(), description="Classification loss.")
    contrastive: Contrastive | None = Field(
        None, description="Contrastive term, added to the classification loss."
    )
    views: Drop | None = Field(None, description="Two augmented views per molecule.")
    mixing: Mixing | None = Field(None, description="Molecules mixed with each other.")
    last_layer: LastLayer = Field(LinearLayer(), description="From features to logits.")
    experts: Experts | None = Field(None, description="Several heads instead of one.")
    posthoc: Posthoc | None = Field(None, description="Change of the logits at prediction.")
    second_stage: SecondStage | None = Field(None, description="Second stage, in the last epochs.")
    sharpness: SharpnessAware | None = Field(
        None, description="Steps that look for flat minima; each computes the loss twice."
    )
    optimizer: OwnOptimizer | None = Field(
        None, description="Optimiser instead of the benchmark's, where it is part of the method."
    )
    subclusters: Subclusters | None = Field(None, description="Sub-clusters of classes.")
    schedule: Schedule | None = Field(None, description="Warm-up and re-clustering.")
    classifier: Classifier | None = Field(
        None, description="An estimator on fingerprints instead of a network."
    )
    ensemble: Ensemble | None = Field(
        None, description="Other methods of the benchmark, averaged, instead of a training."
    )
    tuning: dict[str, Space] = Field(
        {},
        description="Search space of `drugtail tune`: setting of this file, for example "
        "`loss.tau`, or of `training` -> values. Every network's learning rate is tuned besides, "
        "from 0.0003 to 0.003. Results by default do not depend on it.",
    )

    @model_validator(mode="after")
    def _components_fit_together(self) -> Recipe:
        if not self.is_network:
            self._check_alone()
            return self
        self._check_geometry()
        self._check_losses()
        self._check_heads()
        self._check_mixing()
        self._check_sharpness()
        self._check_second_stage()
        return self

    def _check_alone(self) -> None:
        # A class default (uniform weights, ...) is what a forest ignores; a choice is not.
        own, named = (
            ("classifier", "a classical classifier")
            if self.ensemble is None
            else ("ensemble", "an ensemble")
        )
        foreign = self.model_fields_set - {*DESCRIPTION, own}
        if foreign:
            raise ValueError(f"{named} takes no {', '.join(sorted(foreign))}; leave it out")
        if self.ensemble is not None and self.tuning:
            raise ValueError("an ensemble is not tuned, its members are; remove tuning")

    def _check_geometry(self) -> None:
        """Refuse a component without what it measures classes with, and the other way round."""
        if self.contrastive is not None and self.views is None:
            raise ValueError("contrastive also needs: views")
        wants = [
            f"{slot} {getattr(self, slot).name}"
            for slot in ("class_weights", "contrastive")
            if declares(getattr(self, slot), "needs_geometry")
        ]
        missing = [slot for slot in ("subclusters", "schedule") if getattr(self, slot) is None]
        if wants and missing:
            raise ValueError(f"{' and '.join(wants)} also needs: {', '.join(missing)}")
        if self.subclusters is not None and missing:
            raise ValueError("subclusters also needs: schedule")
        if self.schedule is not None and missing:
            raise ValueError("schedule also needs: subclusters")
        if self.schedule is not None and self.schedule.classifier_delay and not self.contrastive:
            raise ValueError("schedule.classifier_delay also needs: contrastive")
        first = self.views is not None and self.views.classified == "first"
        if first and declares(self.contrastive, "whole"):
            raise ValueError("contrastive weighs the losses of both views; classify both")

    def _check_losses(self) -> None:
        """Refuse a loss that works on another last layer, or on experts that are not there."""
        stage: Any = self.second_stage
        if declares(stage, "loss"):
            if declares(stage.loss, "for_experts"):
                raise ValueError(f"second_stage.loss {stage.loss.name} also needs: experts")
            if declares(stage.class_weights, "needs_geometry"):
                raise ValueError(
                    "second_stage.class_weights follow from class sizes only; choose others"
                )
            self._check_cosine("second_stage.loss", stage.loss)
        self._check_cosine("loss", self.loss)
        if declares(self.loss, "for_experts") and self.experts is None:
            raise ValueError(f"loss {self.loss.name} also needs: experts")
        heads = declares(self.loss, "heads")
        if heads and self.experts is not None and self.experts.number != heads:
            raise ValueError(f"loss {self.loss.name} is of {heads} experts; set experts.number so")
        if declares(self.loss, "needs_evidence") and (
            self.experts is None or self.experts.combine != "evidence"
        ):
            raise ValueError(f"loss {self.loss.name} also needs: experts with combine evidence")
        changed = (self.loss.name, self.class_weights.name) != ("cross_entropy", "uniform")
        if declares(self.contrastive, "replaces_loss") and changed:
            assert self.contrastive is not None
            raise ValueError(
                f"contrastive {self.contrastive.name} contains its loss; remove loss, class_weights"
            )

    def _check_cosine(self, slot: str, loss: Any) -> None:
        if declares(loss, "needs_cosine") and self.last_layer.name != "cosine":
            raise ValueError(
                f"{slot} {loss.name} also needs: last_layer cosine (its margin is an angle's)"
            )

    def _check_heads(self) -> None:
        """Refuse heads that nothing trains, and changes to a last layer that there is not."""
        branches = declares(self.mixing, "branches")
        if branches and (self.experts is None or self.experts.number != 2):
            assert self.mixing is not None
            raise ValueError(f"mixing {self.mixing.name} also needs: experts with number 2")
        if self.experts is not None and not branches and not declares(self.loss, "for_experts"):
            raise ValueError(
                "experts need a loss for them, such as diverse_experts or experts_cross_entropy"
            )
        for component in (self.posthoc, self.second_stage):
            if declares(component, "linear_only") and (
                self.last_layer.name != "linear" or self.experts is not None
            ):
                assert component is not None
                raise ValueError(f"{component.name} works on one linear last layer only")

    def _check_mixing(self) -> None:
        if self.mixing is not None and self.views is not None:
            raise ValueError("mixing and views cannot be together; leave one out")

    def _check_sharpness(self) -> None:
        if self.sharpness is not None and (self.views or self.mixing or self.second_stage):
            raise ValueError(
                "sharpness cannot be together with views, mixing or second_stage; leave one out"
            )

    def _check_second_stage(self) -> None:
        stage = self.second_stage
        if stage is None:
            return
        if self.posthoc is not None:
            raise ValueError("second_stage and posthoc cannot be together; leave one out")
        if self.experts is not None:
            raise ValueError("second_stage cannot be together with experts")
        if self.needs_geometry and not declares(stage, "keeps_features"):
            raise ValueError(
                f"second_stage {stage.name} cannot be together with sub-clusters, whose features "
                "it changes"
            )
        if declares(stage, "teaches") and (self.views is not None or self.mixing is not None):
            raise ValueError(f"second_stage {stage.name} cannot be together with views or mixing")

    @property
    def is_network(self) -> bool:
        """Return whether a network is trained, not an estimator fitted or members averaged."""
        return self.classifier is None and self.ensemble is None

    @property
    def partners(self) -> Sampler | None:
        """Sampler of the second batch beside the first one; None if there is none."""
        return getattr(self.mixing, "sampler", None)

    @property
    def needs_geometry(self) -> bool:
        """Return whether the method looks at the embeddings of the whole training set."""
        return self.subclusters is not None

    @property
    def space(self) -> dict[str, Space]:
        """Settings to tune: `tuning`, and for networks those that all of them share."""
        shared = NETWORK_TUNING if self.is_network else {}
        return {**shared, **self.tuning}
