"""Settings of changes to a trained network for prediction."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.prior import Shares, shifted


class PosthocSettings(Settings):
    """Settings that every change of a trained network has."""

    # Subset (train or valid) to whose molecules a change of the last layer is fitted, once the
    # network is chosen. None: it shifts the logits by what follows from class sizes, at every
    # validation and prediction.
    fitted_on: ClassVar[str | None] = None
    # Whether it works on one linear last layer only.
    linear_only: ClassVar[bool] = False

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """Return the class shares that are left in the probabilities, from those before."""
        return None


class PosthocLogitAdjustment(PosthocSettings):
    """s - tau log pi at prediction (Menon et al., ICLR 2021)."""

    name: Literal["logit_adjustment"]
    tau: float = Field(1.0, ge=0, description="Strength.")

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `PosthocSettings.prior`."""
        return shifted(shares, counts, self.tau)


class TauNormalization(PosthocSettings):
    """w_c / |w_c|^tau at prediction, tau by validation (Kang et al., ICLR 2020)."""

    fitted_on: ClassVar[str | None] = "valid"
    linear_only: ClassVar[bool] = True

    name: Literal["tau_norm"]
    steps: int = Field(20, ge=1, description="tau is chosen among 0, 1/steps, ..., 1.")


class NearestClassMean(PosthocSettings):
    """The class whose mean is nearest by cosine similarity (Kang et al., ICLR 2020)."""

    fitted_on: ClassVar[str | None] = "train"
    linear_only: ClassVar[bool] = True

    name: Literal["nearest_class_mean"]


Posthoc = Annotated[
    PosthocLogitAdjustment | TauNormalization | NearestClassMean, Field(discriminator="name")
]
