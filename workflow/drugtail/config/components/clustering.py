"""Settings of sub-clusters, and when classes are clustered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drugtail.config.base import Settings


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
    """Epochs of the full-length training at which the geometry of the embeddings is taken."""

    warmup_epochs: int = Field(
        10, ge=0,
        description="Epochs before the first re-clustering. With a contrastive term only that is "
        "trained in them; without one the classifier is, all classes alike.",
    )  # fmt: skip
    refresh_epochs: int = Field(10, ge=1, description="Epochs between two re-clusterings.")
    classifier_delay: int = Field(
        0, ge=0,
        description="Epochs after the first re-clustering before the classifier is trained, too, "
        "where a contrastive term is trained until then.",
    )  # fmt: skip
