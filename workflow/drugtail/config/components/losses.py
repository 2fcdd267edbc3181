"""Settings of classification losses."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.prior import Shares, shifted


class LossSettings(Settings):
    """Settings that every classification loss has."""

    # Such losses need experts in the recipe, and several heads need such a loss.
    for_experts: ClassVar[bool] = False
    needs_cosine: ClassVar[bool] = False
    needs_evidence: ClassVar[bool] = False
    # Whether the batch's sum of class weights, by which others are divided, would cancel what the
    # loss is about.
    keeps_scale: ClassVar[bool] = False
    # Whether it applies the class weights itself, to a part of it alone.
    weighs_itself: ClassVar[bool] = False
    # A loss of several experts may also declare `heads`, the number of those that it is for.

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """Return the class shares that are left in the probabilities, from those trained on.

        None where a loss changes them otherwise than by a shift of the logits.
        """
        return None


class CrossEntropy(LossSettings):
    """Cross-entropy of the logits."""

    name: Literal["cross_entropy"] = "cross_entropy"

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `LossSettings.prior`."""
        return shares


class BalancedSoftmax(LossSettings):
    """Cross-entropy of s + log n (Ren et al., NeurIPS 2020); plain s at prediction."""

    name: Literal["balanced_softmax"]

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `LossSettings.prior`."""
        return shifted(shares, counts, 1.0)


class LogitAdjustment(LossSettings):
    """Cross-entropy of s + tau log pi (Menon et al., ICLR 2021); plain s at prediction."""

    name: Literal["logit_adjustment"]
    tau: float = Field(1.0, ge=0, description="Strength; 1 is balanced_softmax, 0 cross-entropy.")

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `LossSettings.prior`."""
        return shifted(shares, counts, self.tau)


class Focal(LossSettings):
    """Cross-entropy times (1 - p_y)^gamma (Lin et al., ICCV 2017)."""

    name: Literal["focal"]
    gamma: float = Field(
        2.0, ge=0, description="Rate at which easy molecules lose weight; 0: they keep it."
    )

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `LossSettings.prior`."""
        return shares


class InfluenceBalanced(LossSettings):
    """Cross-entropy over a molecule's influence on the last layer (Park et al., ICCV 2021)."""

    keeps_scale: ClassVar[bool] = True

    name: Literal["influence_balanced"]
    alpha: float = Field(1000.0, gt=0, description="Factor.")
    start: float = Field(
        0.5, ge=0, lt=1, description="Share of the epochs before which it is plain cross-entropy."
    )


class Ldam(LossSettings):
    """Cross-entropy with a margin that grows as classes get rarer (Cao et al., NeurIPS 2019)."""

    # Its margin is one between angles: such losses need a cosine last layer.
    needs_cosine: ClassVar[bool] = True

    name: Literal["ldam"]
    margin: float = Field(
        0.5,
        ge=0,
        description="Margin of the rarest class; others have it times (n_min / n_c)^(1/4).",
    )


class VectorScaling(LossSettings):
    """Cross-entropy of (n_c / n_max)^gamma s + tau log pi (Kini et al., NeurIPS 2021)."""

    name: Literal["vector_scaling"]
    gamma: float = Field(0.15, ge=0, description="Strength of the scaling.")
    tau: float = Field(1.0, ge=0, description="Strength of the shift.")


class ClassDependentTemperature(LossSettings):
    """Cross-entropy of s_c / a_c, a_c = (n_max / n_c)^gamma; plain s at prediction (Ye, 2020)."""

    name: Literal["class_dependent_temperature"]
    gamma: float = Field(0.2, ge=0, description="Strength; 0 is cross-entropy.")


class SoftmaxEqualization(LossSettings):
    """Rare classes are often left out of the softmax of other classes (Tan et al., CVPR 2020)."""

    name: Literal["softmax_equalization"]
    threshold: float = Field(0.005, ge=0, description="lambda: a class rarer than this is rare.")
    probability: float = Field(0.9, ge=0, le=1, description="gamma: of leaving them out.")


class LabelAwareSmoothing(LossSettings):
    """Label smoothing, stronger for large classes (Zhong et al., CVPR 2021)."""

    name: Literal["label_aware_smoothing"]
    head: float = Field(0.4, ge=0, lt=1, description="Smoothing of the largest class.")
    tail: float = Field(0.1, ge=0, lt=1, description="Smoothing of the smallest class.")


class Seesaw(LossSettings):
    """Cross-entropy that spares rare classes and holds back those taken wrongly (Wang, 2021)."""

    name: Literal["seesaw"]
    mitigation: float = Field(
        0.8, ge=0, description="p: how much less a molecule of a larger class pushes a smaller one."
    )
    compensation: float = Field(
        2.0, ge=0, description="q: how much more a class is pushed that is taken for the true one."
    )


class GaussianClouded(LossSettings):
    """Cross-entropy of logits clouded by noise, more of it for rare classes (Li, CVPR 2022)."""

    # Its noise and margin are of angles.
    needs_cosine: ClassVar[bool] = True

    name: Literal["gaussian_clouded"]
    margin: float = Field(0.5, ge=0, description="m, taken off the true class's cosine.")
    noise: float = Field(0.5, ge=0, description="Amplitude of the noise of the rarest class.")


class DistributionDisentangling(LossSettings):
    """Balanced softmax with a bound that takes the prior out of the logits (LADE; Hong, 2021)."""

    name: Literal["distribution_disentangling"]
    weight: float = Field(0.1, ge=0, description="Weight of the bound; 0 is balanced_softmax.")
    regularisation: float = Field(0.1, ge=0, description="lambda, of the bound's normaliser.")


class ExpertsCrossEntropy(LossSettings):
    """Cross-entropy of each expert alone: what several heads do by being several."""

    for_experts: ClassVar[bool] = True

    name: Literal["experts_cross_entropy"]


class PriorExperts(LossSettings):
    """Each expert learns under class shares of its own (BalPoE; Sanchez Aimar et al., CVPR 2023).

    Averaged, their logits are those of even shares where the strengths have a mean of 1.
    """

    for_experts: ClassVar[bool] = True

    name: Literal["prior_experts"]
    strengths: list[float] = Field(
        [0.0, 1.0, 2.0], min_length=2,
        description="tau of each expert: it learns s + tau log pi; one for each.",
    )  # fmt: skip

    @property
    def heads(self) -> int:
        """Number of experts that it is for."""
        return len(self.strengths)


class SkillDiverseExperts(LossSettings):
    """An expert for the head, one for all classes alike, one for the tail (SADE; Zhang, 2022)."""

    for_experts: ClassVar[bool] = True

    heads: ClassVar[int] = 3

    name: Literal["skill_diverse_experts"]
    inverse: float = Field(2.0, ge=0, description="lambda, of the third expert's inverse shares.")


class DiverseExperts(LossSettings):
    """Margin loss of each expert, less their divergence (RIDE; Wang et al., ICLR 2021)."""

    for_experts: ClassVar[bool] = True
    weighs_itself: ClassVar[bool] = True

    name: Literal["diverse_experts"]
    margin: float = Field(0.5, ge=0, description="As of `ldam`.")
    diversity: float = Field(0.2, ge=0, description="Weight of the divergence.")
    spread: float = Field(
        0.05, ge=0, le=1, description="Amount by which the temperature of rare classes is lower."
    )


class TrustworthyExperts(LossSettings):
    """Evidence of each expert, where those before it are unsure (TLC; Li et al., CVPR 2022)."""

    for_experts: ClassVar[bool] = True
    weighs_itself: ClassVar[bool] = True
    # Such losses need experts that are combined by evidence.
    needs_evidence: ClassVar[bool] = True

    name: Literal["trustworthy_experts"]
    margin: float = Field(0.5, ge=0, description="As of `ldam`.")
    threshold: float = Field(
        0.54, ge=0, lt=1,
        description="An expert learns molecules whose weight is above this share of the batch's "
        "largest.",
    )  # fmt: skip
    divergence: float = Field(
        0.015, ge=0, description="Weight of the divergence at the end; it grows with the epochs."
    )


Loss = Annotated[
    CrossEntropy | Focal | InfluenceBalanced | Ldam | BalancedSoftmax | LogitAdjustment
    | VectorScaling | ClassDependentTemperature | SoftmaxEqualization | LabelAwareSmoothing
    | Seesaw | GaussianClouded | DistributionDisentangling | ExpertsCrossEntropy | PriorExperts
    | SkillDiverseExperts | DiverseExperts | TrustworthyExperts,
    Field(discriminator="name"),
]  # fmt: skip
