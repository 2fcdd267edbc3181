"""A method is a recipe: orthogonal parts, chosen by name, each with its settings.

This module describes the parts (and imports nothing heavy, so that a workflow can validate every
recipe in milliseconds); the modules beside it implement them. A new part is a class here and a
function registered under the same name there.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from drugtail.runtime.settings import Settings

Family = Literal[
    "baseline", "resampling", "reweighting", "adjustment", "decoupled", "mixing", "contrastive",
    "experts", "classical", "proposed",
]  # fmt: skip


class Reference(Settings):
    """Where a method was published."""

    authors: str = Field(description="Authors as they are usually cited.")
    year: int = Field(description="Year of publication.")
    venue: str = Field(description="Journal, conference or preprint server.")
    link: str | None = Field(None, description="DOI or arXiv number.")


# ------------------------------------------------------------------------------- samplers


class InstanceSampler(Settings):
    """Every molecule once per epoch, in random order."""

    name: Literal["instance"] = "instance"


class ClassBalancedSampler(Settings):
    """A class uniformly, then one of its molecules uniformly, with replacement; N draws."""

    name: Literal["class_balanced"]


Sampler = Annotated[InstanceSampler | ClassBalancedSampler, Field(discriminator="name")]

# ------------------------------------------------------------------------- class weights


class UniformWeights(Settings):
    """Every class weighs 1."""

    name: Literal["uniform"] = "uniform"


class CostSensitiveWeights(Settings):
    """w_c = (n_min / n_c)^gamma (ImDrug, 2022)."""

    name: Literal["cost_sensitive"]
    gamma: float = Field(1.0, ge=0, description="Exponent; 0 gives uniform weights.")


class ClassDistanceWeights(Settings):
    """Softmax of negative distances between class centres, renewed at each re-clustering.

    Su, Li, Wang, arXiv:2504.04647, with the distances of classes and of sub-clusters averaged.
    """

    name: Literal["class_distance"]
    distances: Literal["both", "class", "subcluster"] = Field(
        "both", description="Which of the two distances count."
    )


class ClassSeparabilityWeights(Settings):
    """w_c proportional to exp(-s_c / T), s_c the mean silhouette of the class's molecules."""

    name: Literal["class_separability"]
    temperature: float = Field(0.25, gt=0, description="T; the larger, the more alike weights are.")
    of: Literal["train", "valid"] = Field(
        "train", description="Molecules whose silhouettes are taken; centres are of training ones."
    )


ClassWeights = Annotated[
    UniformWeights | CostSensitiveWeights | ClassDistanceWeights | ClassSeparabilityWeights,
    Field(discriminator="name"),
]

# ---------------------------------------------------------------------------------- loss


class CrossEntropy(Settings):
    """Cross-entropy of the logits."""

    name: Literal["cross_entropy"] = "cross_entropy"


class BalancedSoftmax(Settings):
    """Cross-entropy of s + log n (Ren et al., NeurIPS 2020); plain s at prediction."""

    name: Literal["balanced_softmax"]


class LogitAdjustment(Settings):
    """Cross-entropy of s + tau log pi (Menon et al., ICLR 2021); plain s at prediction."""

    name: Literal["logit_adjustment"]
    tau: float = Field(1.0, ge=0, description="Strength; 1 is balanced_softmax, 0 cross-entropy.")


Loss = Annotated[CrossEntropy | BalancedSoftmax | LogitAdjustment, Field(discriminator="name")]

# --------------------------------------------------------------- contrastive term and views


class SupervisedContrastive(Settings):
    """Supervised contrastive loss over classes (Khosla et al., NeurIPS 2020)."""

    name: Literal["supervised"]
    temperature: float = Field(0.1, gt=0, description="Temperature.")


class SubclusterContrastive(Settings):
    """Two-level contrastive loss: within the sub-cluster, and between classes.

    Before the first re-clustering it is the supervised contrastive loss over classes.
    """

    name: Literal["subcluster"]
    temperature: float = Field(0.1, gt=0, description="Temperature within a sub-cluster.")
    beta: float = Field(0.25, ge=0, description="Weight of the class-level term.")
    variant: Literal["paper", "as_published"] = Field(
        "paper", description="Formula of the paper, or of its authors' code."
    )


Contrastive = Annotated[SupervisedContrastive | SubclusterContrastive, Field(discriminator="name")]


class EdgeDrop(Settings):
    """Two views of each molecule with edges dropped, rather those that lead to low-degree atoms."""

    name: Literal["edge_drop"] = "edge_drop"
    rates: list[float] = Field(
        [0.15, 0.10], min_length=2, max_length=2, description="Mean drop rate of either view."
    )
    cap: float = Field(0.7, gt=0, le=1, description="Largest probability of dropping an edge.")


class WholeClasses(Settings):
    """Every class is its own and only sub-cluster."""

    name: Literal["whole_classes"]


class _KMeans(Settings):
    minimum_size: int = Field(
        10, ge=1, description="delta: the size limit is max(n_min, delta) molecules."
    )
    rounds: int = Field(50, ge=1, description="Most rounds of k-means.")
    tolerance: float = Field(1e-3, ge=0, description="Stop when no centre moves further.")
    counted: Literal["molecules", "oversampled"] = Field(
        "molecules",
        description="Class sizes that the number of sub-clusters follows from: those of the "
        "training set, or those after over-sampling every class to the largest (then each class "
        "is one sub-cluster).",
    )


class BalancedKMeans(_KMeans):
    """Capacity-limited k-means that cuts classes into sub-clusters of about the tail's size."""

    name: Literal["balanced_kmeans"] = "balanced_kmeans"


class KMeans(_KMeans):
    """Plain k-means: sub-clusters of any size."""

    name: Literal["kmeans"]


Subclusters = Annotated[BalancedKMeans | KMeans | WholeClasses, Field(discriminator="name")]


class Schedule(Settings):
    """When the geometry of the embeddings is taken, in epochs of the full-length training."""

    warmup_epochs: int = Field(
        10, ge=1,
        description="Epochs before the first re-clustering. With a contrastive term only that is "
        "trained in them; without one the classifier is, all classes alike.",
    )  # fmt: skip
    refresh_epochs: int = Field(10, ge=1, description="Epochs between two re-clusterings.")


# Parts that look at the embeddings of the whole training set.
NEED_GEOMETRY = {"class_distance", "class_separability", "subcluster"}

# ----------------------------------------------------------------------------- classical


class RandomForest(Settings):
    """scikit-learn's RandomForestClassifier."""

    name: Literal["random_forest"]
    trees: int = Field(300, ge=1, description="Number of trees.")
    class_weight: Literal["balanced", "balanced_subsample"] | None = Field(
        None, description="As in scikit-learn; null weighs all molecules alike."
    )


# -------------------------------------------------------------------------------- tuning


class Space(Settings):
    """What tuning may choose a setting from: a range of numbers, or choices."""

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
        if not math.isfinite(self.low) or not math.isfinite(self.high):
            raise ValueError("low and high must be finite")
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


class Recipe(Settings):
    """One method: what it is, and the parts it is made of."""

    name: str = Field(description="Name of the method; equals the file name.")
    family: Family = Field(description="Family in the survey's sense; equals the folder name.")
    idea: str = Field(description="One sentence on the idea.")
    reference: Reference | None = Field(None, description="Where it was published.")
    sampler: Sampler = Field(InstanceSampler(), description="How an epoch is drawn.")
    class_weights: ClassWeights = Field(UniformWeights(), description="Weights in the loss.")
    loss: Loss = Field(CrossEntropy(), description="Classification loss.")
    contrastive: Contrastive | None = Field(
        None, description="Contrastive term, added to the classification loss."
    )
    views: EdgeDrop | None = Field(None, description="Two augmented views per molecule.")
    subclusters: Subclusters | None = Field(None, description="Sub-clusters of classes.")
    schedule: Schedule | None = Field(None, description="Warm-up and re-clustering.")
    classifier: RandomForest | None = Field(
        None, description="An estimator on fingerprints instead of a network."
    )
    tuning: dict[str, Space] = Field(
        {},
        description="What `drugtail tune` may change: setting of this file, for example "
        "`loss.tau`, or of `training` -> values. Every network's learning rate is tuned besides, "
        "from 0.0003 to 0.003. Results by default do not depend on it.",
    )

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Recipe:
        if self.classifier is not None:
            # A class default (uniform weights, ...) is what a forest ignores; a choice is not.
            foreign = self.model_fields_set - {
                "name", "family", "idea", "reference", "classifier", "tuning",
            }  # fmt: skip
            if foreign:
                raise ValueError(
                    f"a classical classifier takes no {', '.join(sorted(foreign))}; remove them"
                )
            return self
        if self.contrastive is not None and self.views is None:
            raise ValueError("contrastive also needs: views")
        wants = [
            f"{slot} {part.name}"
            for slot, part in (
                ("class_weights", self.class_weights), ("contrastive", self.contrastive)
            )
            if part is not None and part.name in NEED_GEOMETRY
        ]  # fmt: skip
        missing = [slot for slot in ("subclusters", "schedule") if getattr(self, slot) is None]
        if wants and missing:
            raise ValueError(f"{' and '.join(wants)} also needs: {', '.join(missing)}")
        if self.subclusters is not None and missing:
            raise ValueError("subclusters also needs: schedule")
        if self.schedule is not None and missing:
            raise ValueError("schedule also needs: subclusters")
        return self

    @property
    def needs_geometry(self) -> bool:
        """Whether the method looks at the embeddings of the whole training set."""
        return self.subclusters is not None

    @property
    def space(self) -> dict[str, Space]:
        """What is tuned: `tuning`, and for networks what all of them share."""
        shared = NETWORK_TUNING if self.classifier is None else {}
        return {**shared, **self.tuning}
