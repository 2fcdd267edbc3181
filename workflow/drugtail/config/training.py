"""Settings of training, the same for every method of a benchmark."""

from __future__ import annotations

from pydantic import Field

from drugtail.config.base import Settings


class Training(Settings):
    """How a network is trained; the same for every method of a benchmark."""

    epochs: int = Field(300, ge=1, description="Passes over the training set.")
    batch_size: int = Field(
        128, ge=2,
        description="Molecules per step, or a little less: an epoch is cut into equal batches.",
    )  # fmt: skip
    learning_rate: float = Field(1e-3, gt=0, description="Of Adam, at the first epoch.")
    learning_rate_decay: float = Field(
        0.99, gt=0, le=1, description="Factor on the learning rate after each epoch."
    )
    weight_decay: float = Field(3e-4, ge=0, description="Of Adam, added to the gradient.")
    schedule_scale: float = Field(
        1.0, gt=0, le=1,
        description="Factor on the epoch counts a recipe names (warm-up, re-clustering), rounded, "
        "at least 1. A training shortened to a tenth keeps its proportions with 0.1.",
    )  # fmt: skip
    mixed_precision: bool = Field(False, description="bfloat16 for the dense products.")
