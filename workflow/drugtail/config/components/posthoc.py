"""Settings of changes to a trained network for prediction."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings


class PosthocLogitAdjustment(Settings):
    """s - tau log pi at prediction (Menon et al., ICLR 2021)."""

    # It shifts the logits by what follows from class sizes, at every validation and prediction.
    fitted_on: ClassVar[None] = None
    linear_only: ClassVar[bool] = False

    name: Literal["logit_adjustment"]
    tau: float = Field(1.0, ge=0, description="Strength.")


class TauNormalization(Settings):
    """w_c / |w_c|^tau at prediction, tau by validation (Kang et al., ICLR 2020)."""

    # It changes the last layer of the chosen network, fitted to molecules of this subset.
    fitted_on: ClassVar[str] = "valid"
    linear_only: ClassVar[bool] = True

    name: Literal["tau_norm"]
    steps: int = Field(20, ge=1, description="tau is chosen among 0, 1/steps, ..., 1.")


class NearestClassMean(Settings):
    """The class whose mean is nearest by cosine similarity (Kang et al., ICLR 2020)."""

    fitted_on: ClassVar[str] = "train"
    linear_only: ClassVar[bool] = True

    name: Literal["nearest_class_mean"]


Posthoc = Annotated[
    PosthocLogitAdjustment | TauNormalization | NearestClassMean, Field(discriminator="name")
]
