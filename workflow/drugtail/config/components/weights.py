"""Settings of class weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.prior import Shares, shares_of


class WeightsSettings(Settings):
    """Settings that all class weights have."""

    # Whether they follow from how classes lie in embedding space: then the recipe needs
    # sub-clusters and a schedule.
    needs_geometry: ClassVar[bool] = False

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """Return the class shares of what is weighed, from those drawn and the class sizes.

        Weights that are measured in training are not known here.
        """
        return None


class UniformWeights(WeightsSettings):
    """Every class weighs 1."""

    name: Literal["uniform"] = "uniform"

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `WeightsSettings.prior`."""
        return shares


class _CountWeights(WeightsSettings):
    start: float = Field(
        0.0, ge=0, lt=1, description="Share of the epochs before which all classes weigh alike."
    )


class CostSensitiveWeights(_CountWeights):
    """w_c = (n_min / n_c)^gamma (ImDrug, 2022)."""

    name: Literal["cost_sensitive"]
    gamma: float = Field(1.0, ge=0, description="Exponent; 0 gives uniform weights.")

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `WeightsSettings.prior`."""
        return shares_of(
            [share * count**-self.gamma for share, count in zip(shares, counts, strict=True)]
        )


class ClassBalancedWeights(_CountWeights):
    """w_c proportional to (1 - beta) / (1 - beta^n_c) (Cui et al., CVPR 2019)."""

    name: Literal["class_balanced"]
    beta: float = Field(
        0.999, ge=0, lt=1, description="0 gives uniform weights, towards 1 those of 1/n_c."
    )

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `WeightsSettings.prior`."""
        return shares_of(
            [share / (1 - self.beta**count) for share, count in zip(shares, counts, strict=True)]
        )


class ClassDistanceWeights(WeightsSettings):
    """Softmax of negative distances between class centres, renewed at each re-clustering.

    Su, Li, Wang, arXiv:2504.04647, with the distances of classes and of sub-clusters averaged.
    Controls keep the spread of the weights and change which classes they are of; a wider spread
    keeps the order and changes how much it counts.
    """

    needs_geometry: ClassVar[bool] = True

    name: Literal["class_distance"]
    distances: Literal["both", "class", "subcluster"] = Field(
        "both", description="Distances that count."
    )
    control: Literal["permuted", "inverted", "size_matched"] | None = Field(
        None,
        description="Permuted: shuffled over the classes at every refresh. Inverted: the softmax "
        "of the distances themselves. Size-matched: n_c^-gamma with the same largest ratio.",
    )
    spread: float | None = Field(
        None, gt=1,
        description="Largest over smallest weight, reached by a temperature of the softmax; null "
        "takes the weights as they are.",
    )  # fmt: skip


class ClassSeparabilityWeights(WeightsSettings):
    """w_c proportional to exp(-s_c / T), s_c the mean silhouette of the class's molecules."""

    needs_geometry: ClassVar[bool] = True

    name: Literal["class_separability"]
    temperature: float = Field(0.25, gt=0, description="T; the larger, the more alike weights are.")
    of: Literal["train", "valid"] = Field(
        "train", description="Molecules whose silhouettes are taken; centres are of training ones."
    )


ClassWeights = Annotated[
    UniformWeights | CostSensitiveWeights | ClassBalancedWeights | ClassDistanceWeights
    | ClassSeparabilityWeights,
    Field(discriminator="name"),
]  # fmt: skip
