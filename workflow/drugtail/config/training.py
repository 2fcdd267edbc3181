"""Settings of training, the same for every method of a benchmark."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drugtail.config.base import Settings

# AdamW's decay does not depend on the scale of a loss; Adam's is added to the gradient (L2).
OptimizerName = Literal["adamw", "adam"]


class Training(Settings):
    """Settings of the training of networks; the same for every method of a benchmark."""

    epochs: int = Field(300, ge=1, le=100_000, description="Passes over the training set.")
    batch_size: int = Field(
        128, ge=2, le=1_000_000,
        description="Molecules per step, or a little less: an epoch is cut into equal batches.",
    )  # fmt: skip
    optimizer: OptimizerName = Field(
        "adamw",
        description="AdamW, with decoupled decay (Loshchilov, Hutter, ICLR 2019), or Adam with L2.",
    )
    learning_rate: float = Field(1e-3, gt=0, description="Initial learning rate.")
    learning_rate_decay: float = Field(
        0.99, gt=0, le=1, description="Factor on the learning rate after each epoch."
    )
    weight_decay: float = Field(
        0.1,
        ge=0,
        description="Decay of AdamW, per learning rate; the L2 penalty of Adam (usually 3e-4).",
    )
    selection: Literal["best_smoothed", "best", "last"] = Field(
        "best_smoothed",
        description="Epoch whose weights are kept: the best mean validation balanced accuracy of "
        "the last `selection_window` epochs, the best single one, or the last epoch.",
    )
    selection_window: int = Field(
        10, ge=1, description="Epochs of that mean; at most a quarter of all epochs."
    )
    patience: int | None = Field(
        None, ge=1, description="Epochs without a better one after which a seed stops; null: none."
    )
    weight_average: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Factor per step of an exponential average of the weights, such as 0.999, "
        "which is validated and kept in their place; null: none.",
    )
    schedule_scale: float = Field(
        1.0, gt=0, le=1,
        description="Factor on the epoch counts a recipe names (warm-up, re-clustering), rounded, "
        "at least 1. A training shortened to a tenth keeps its proportions with 0.1.",
    )  # fmt: skip
    mixed_precision: bool = Field(False, description="bfloat16 for the dense products.")
